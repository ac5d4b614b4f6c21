//! Requests and replies of the kernel's FUSE protocol (`linux/fuse.h`, version 7.31 and later), the
//! part of it that is used here. Numbers are in the machine's own byte order.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

/// One request: its header's fields, and what follows them.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) opcode: u32,
    pub(super) unique: u64,
    pub(super) node: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) body: Body<'a>,
}

/// Reads the fields of a request one after the other. What is missing reads as zero: the kernel
/// sends whole structures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a>(&'a [u8]);

impl<'a> Request<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let mut body = Body(bytes);
        let _length = body.u32();
        let opcode = body.u32();
        let unique = body.u64();
        let node = body.u64();
        let (uid, gid) = (body.u32(), body.u32());
        let _pid_and_extensions = body.u64();
        Self {
            opcode,
            unique,
            node,
            uid,
            gid,
            body,
        }
    }

    /// The body's first field, which stays to be read.
    pub(super) fn first_word(&self) -> u32 {
        let mut body = self.body;
        body.u32()
    }
}

impl<'a> Body<'a> {
    pub(super) fn u32(&mut self) -> u32 {
        let (first, rest) = self.0.split_first_chunk().unwrap_or((&[0; 4], &[]));
        self.0 = rest;
        u32::from_ne_bytes(*first)
    }

    pub(super) fn u64(&mut self) -> u64 {
        let (first, rest) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.0 = rest;
        u64::from_ne_bytes(*first)
    }

    /// A name that ends with a zero byte.
    pub(super) fn name(&mut self) -> &'a OsStr {
        let end = self.0.iter().position(|byte| *byte == 0);
        let (name, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        OsStr::from_bytes(name)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// What a node is told to be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) node: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds since the epoch.
    pub(super) modified: (u64, u32),
    /// Type and permissions.
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A reply in the making.
#[derive(Debug, Default)]
pub(super) struct Reply(pub(super) Vec<u8>);

/// Everything that changes comes through the kernel, which may thus remember all it was told.
const REMEMBER_SECONDS: u64 = 3600;

impl Reply {
    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn attributes(&mut self, of: &Attributes) -> &mut Self {
        self.u64(of.node).u64(of.size).u64(of.size.div_ceil(512));
        for _ in 0..3 {
            self.u64(of.modified.0);
        }
        for _ in 0..3 {
            self.u32(of.modified.1);
        }
        self.u32(of.mode).u32(of.links).u32(of.uid).u32(of.gid);
        let (device, block, flags) = (0, 4096, 0);
        self.u32(device).u32(block).u32(flags)
    }

    /// `fuse_entry_out`: what a name stands for.
    pub(super) fn entry(of: &Attributes) -> Self {
        let mut this = Self::default();
        let generation = 0;
        this.u64(of.node).u64(generation);
        this.u64(REMEMBER_SECONDS).u64(REMEMBER_SECONDS).u64(0);
        this.attributes(of);
        this
    }

    /// `fuse_attr_out`.
    pub(super) fn attr(of: &Attributes) -> Self {
        let mut this = Self::default();
        this.u64(REMEMBER_SECONDS).u64(0).attributes(of);
        this
    }

    /// `fuse_open_out`: no handle; what the kernel has cached of the file stays right.
    pub(super) fn opened(&mut self) -> &mut Self {
        const KEEP_CACHE: u32 = 1 << 1;
        self.u64(0).u32(KEEP_CACHE).u32(0)
    }

    /// `fuse_dirent`, as long as it fits into `limit` bytes.
    pub(super) fn directory_entry(
        &mut self,
        limit: usize,
        node: u64,
        cookie: u64,
        kind: u32,
        name: &OsStr,
    ) -> bool {
        let name = name.as_bytes();
        let length = (24 + name.len()).next_multiple_of(8);
        if self.0.len() + length > limit {
            return false;
        }
        let end = self.0.len() + length;
        self.u64(node).u64(cookie);
        self.u32(u32::try_from(name.len()).unwrap_or(0)).u32(kind);
        self.0.extend_from_slice(name);
        self.0.resize(end, 0);
        true
    }

    /// With the header of a successful reply.
    pub(super) fn finish(&self, unique: u64) -> Vec<u8> {
        head(self.0.len(), 0, unique, &self.0)
    }

    /// A reply that is an error.
    pub(super) fn error(errno: i32, unique: u64) -> Vec<u8> {
        head(0, -errno, unique, &[])
    }
}

fn head(length: usize, error: i32, unique: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length + 16).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(body.len() + 16);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&error.to_ne_bytes());
    bytes.extend_from_slice(&unique.to_ne_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Requests by number.
pub(super) mod opcode {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const FSYNCDIR: u32 = 30;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const SYNCFS: u32 = 50;
}

//! Answers to the kernel.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read as _, Write as _},
    path::PathBuf,
};

use rustix::io::Errno;

use super::{
    Shared,
    image::{Content, Image, ROOT, now},
    wire::{Reply, Request, opcode},
};

/// The largest write that is taken at once.
const MAX_WRITE: u32 = 128 * 1024;

type Answer = Result<Reply, Errno>;

/// Serves until the file system is unmounted, or a fault strikes.
pub(super) fn serve(mut device: &File, shared: &Shared) {
    let mut buffer = vec![0; MAX_WRITE as usize + 4096];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            // A request that was taken back before it was read.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => continue,
            // Unmounted.
            Err(_) => return,
        };
        let mut request = Request::parse(buffer.get(..length).unwrap_or_default());
        if matches!(
            request.opcode,
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT
        ) {
            continue;
        }
        let Some(answer) = shared.answer(&mut request) else {
            return;
        };
        let bytes = match answer {
            Ok(reply) => reply.finish(request.unique),
            Err(errno) => Reply::error(errno.raw_os_error(), request.unique),
        };
        // Whoever asked may be dead.
        let _ = device.write(&bytes);
    }
}

/// What the request would change, if anything: the call's name, and the path that it is about.
pub(super) fn change(image: &Image, request: &Request<'_>) -> Option<(&'static str, PathBuf)> {
    let skip = |count: usize| {
        let mut body = request.body;
        for _ in 0..count {
            body.u32();
        }
        image.path(request.node).join(body.name())
    };
    let itself = || image.path(request.node);
    Some(match request.opcode {
        opcode::CREATE | opcode::MKNOD => ("create", skip(4)),
        opcode::MKDIR => ("mkdir", skip(2)),
        opcode::SYMLINK => ("symlink", skip(0)),
        opcode::UNLINK => ("unlink", skip(0)),
        opcode::RMDIR => ("rmdir", skip(0)),
        opcode::LINK => ("link", skip(2)),
        opcode::RENAME => ("rename", rename_target(image, request, 0)),
        opcode::RENAME2 => ("rename", rename_target(image, request, 2)),
        opcode::WRITE => ("write", itself()),
        opcode::FALLOCATE => ("fallocate", itself()),
        opcode::FSYNC => ("fsync", itself()),
        opcode::FSYNCDIR => ("fsync folder", itself()),
        opcode::SYNCFS => ("syncfs", PathBuf::from("everything")),
        opcode::SETATTR => {
            let valid = request.first_word();
            let call = match valid {
                _ if valid & SIZE != 0 => "truncate",
                _ if valid & (MODIFIED | MODIFIED_NOW) != 0 => "utimens",
                _ => "chmod",
            };
            (call, itself())
        }
        _ => return None,
    })
}

fn rename_target(image: &Image, request: &Request<'_>, skip: usize) -> PathBuf {
    let mut body = request.body;
    let folder = body.u64();
    for _ in 0..skip {
        body.u32();
    }
    let _old = body.name();
    image.path(folder).join(body.name())
}

const MODE: u32 = 1;
const UID: u32 = 1 << 1;
const GID: u32 = 1 << 2;
const SIZE: u32 = 1 << 3;
const MODIFIED: u32 = 1 << 5;
const MODIFIED_NOW: u32 = 1 << 8;

/// Does what a request asks for.
pub(super) fn perform(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let node = request.node;
    match request.opcode {
        opcode::INIT => Ok(init(request)),
        opcode::LOOKUP => entry(image, image.find(node, request.body.name())),
        opcode::GETATTR => attr(image, node),
        opcode::SETATTR => set_attributes(image, request),
        opcode::READLINK => match &image.nodes.get(&node).ok_or(Errno::NOENT)?.content {
            Content::Link(target) => Ok(Reply(target.as_os_str().as_encoded_bytes().to_vec())),
            _ => Err(Errno::INVAL),
        },
        opcode::OPEN | opcode::OPENDIR => {
            let mut reply = Reply::default();
            reply.opened();
            Ok(reply)
        }
        opcode::RELEASE | opcode::RELEASEDIR | opcode::FLUSH | opcode::DESTROY => {
            Ok(Reply::default())
        }
        opcode::READ => read(image, request),
        opcode::WRITE => write(image, request),
        opcode::STATFS => Ok(statfs()),
        opcode::READDIR => list(image, request),
        opcode::FSYNC | opcode::FSYNCDIR => {
            let _handle = request.body.u64();
            const DATA_ONLY: u32 = 1;
            image.sync(node, request.body.u32() & DATA_ONLY != 0);
            Ok(Reply::default())
        }
        opcode::SYNCFS => {
            image.sync_all();
            Ok(Reply::default())
        }
        opcode::FALLOCATE => allocate(image, request),
        opcode::CREATE | opcode::MKNOD | opcode::MKDIR | opcode::SYMLINK => create(image, request),
        opcode::LINK => {
            let target = request.body.u64();
            let name = request.body.name();
            if image.find(node, name).is_some() {
                return Err(Errno::EXIST);
            }
            image.bind(node, name, target);
            entry(image, Some(target))
        }
        opcode::UNLINK | opcode::RMDIR => remove(image, request),
        opcode::RENAME | opcode::RENAME2 => rename(image, request),
        _ => Err(Errno::NOSYS),
    }
}

fn entry(image: &Image, node: Option<u64>) -> Answer {
    let attributes = node.and_then(|node| image.attributes(node));
    Ok(Reply::entry(&attributes.ok_or(Errno::NOENT)?))
}

fn attr(image: &Image, node: u64) -> Answer {
    let attributes = image.attributes(node).ok_or(Errno::NOENT)?;
    Ok(Reply::attr(&attributes))
}

fn init(request: &mut Request<'_>) -> Reply {
    const ASYNC_READ: u32 = 1;
    const BIG_WRITES: u32 = 1 << 5;
    const MAX_PAGES: u32 = 1 << 22;
    let _major = request.body.u32();
    let minor = request.body.u32();
    let read_ahead = request.body.u32();
    let offered = request.body.u32();
    let mut reply = Reply::default();
    reply.u32(7).u32(minor.min(38)).u32(read_ahead);
    reply.u32(offered & (ASYNC_READ | BIG_WRITES | MAX_PAGES));
    let background = 64;
    reply.u32(background << 16 | background).u32(MAX_WRITE);
    let (granularity, pages) = (1, MAX_WRITE / 4096);
    reply.u32(granularity).u32(pages);
    reply.0.resize(64, 0);
    reply
}

fn statfs() -> Reply {
    let mut reply = Reply::default();
    let blocks = 1 << 20;
    reply.u64(blocks).u64(blocks).u64(blocks);
    reply.u64(1 << 20).u64(1 << 20);
    let (block, name) = (4096, 255);
    reply.u32(block).u32(name).u32(block).u32(0);
    reply.0.resize(80, 0);
    reply
}

fn set_attributes(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let body = &mut request.body;
    let valid = body.u32();
    let _padding = body.u32();
    let _handle = body.u64();
    let size = body.u64();
    let (_owner, _accessed) = (body.u64(), body.u64());
    let (seconds, _changed) = (body.u64(), body.u64());
    let _accessed = body.u32();
    let nanoseconds = body.u32();
    let _changed = body.u32();
    let mode = body.u32();
    let _unused = body.u32();
    let (uid, gid) = (body.u32(), body.u32());
    let node = image.nodes.get_mut(&request.node).ok_or(Errno::NOENT)?;
    if valid & SIZE != 0 && !node.resize(usize::try_from(size).map_err(|_| Errno::FBIG)?) {
        return Err(Errno::ISDIR);
    }
    if valid & MODE != 0 {
        node.mode = node.mode & 0o170_000 | mode & 0o7777;
    }
    if valid & UID != 0 {
        node.uid = uid;
    }
    if valid & GID != 0 {
        node.gid = gid;
    }
    if valid & MODIFIED_NOW != 0 {
        node.modified = now();
    } else if valid & MODIFIED != 0 {
        node.modified = (seconds, nanoseconds);
    }
    attr(image, request.node)
}

fn read(image: &Image, request: &mut Request<'_>) -> Answer {
    let _handle = request.body.u64();
    let offset = usize::try_from(request.body.u64()).unwrap_or(usize::MAX);
    let size = request.body.u32() as usize;
    match &image.nodes.get(&request.node).ok_or(Errno::NOENT)?.content {
        Content::File { bytes, .. } => {
            let rest = bytes.get(offset..).unwrap_or_default();
            Ok(Reply(rest.get(..size).unwrap_or(rest).to_vec()))
        }
        _ => Err(Errno::ISDIR),
    }
}

fn write(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let _handle = request.body.u64();
    let offset = usize::try_from(request.body.u64()).map_err(|_| Errno::FBIG)?;
    let size = request.body.u32();
    for _ in 0..5 {
        let _flags_and_owner = request.body.u32();
    }
    let data = request.body.rest();
    let data = data.get(..size as usize).unwrap_or(data);
    let node = image.nodes.get_mut(&request.node).ok_or(Errno::NOENT)?;
    if !node.write(offset, data) {
        return Err(Errno::ISDIR);
    }
    let mut reply = Reply::default();
    reply.u32(size).u32(0);
    Ok(reply)
}

fn allocate(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let _handle = request.body.u64();
    let offset = request.body.u64();
    let length = request.body.u64();
    const KEEP_SIZE: u32 = 1;
    let mode = request.body.u32();
    if mode & !KEEP_SIZE != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    let node = image.nodes.get_mut(&request.node).ok_or(Errno::NOENT)?;
    let end = usize::try_from(offset + length).map_err(|_| Errno::FBIG)?;
    if let Content::File { bytes, .. } = &node.content
        && mode == 0
        && bytes.len() < end
    {
        node.resize(end);
    }
    Ok(Reply::default())
}

fn list(image: &Image, request: &mut Request<'_>) -> Answer {
    let _handle = request.body.u64();
    let after = request.body.u64();
    let limit = request.body.u32() as usize;
    let node = image.nodes.get(&request.node).ok_or(Errno::NOENT)?;
    let Content::Folder { names, .. } = &node.content else {
        return Err(Errno::NOTDIR);
    };
    let dots = [(".", 1, request.node), ("..", 2, node.parent)];
    let dots = dots.map(|(name, cookie, node)| (OsStr::new(name), cookie, node));
    // Cookies of names come from the counter of nodes, which is past 2 once there is a root and a
    // file.
    let mut all: Vec<(&OsStr, u64, u64)> = names
        .iter()
        .map(|(name, entry)| (name.as_os_str(), entry.cookie + 2, entry.node))
        .chain(dots)
        .filter(|(_, cookie, _)| *cookie > after)
        .collect();
    all.sort_unstable_by_key(|(_, cookie, _)| *cookie);
    let mut reply = Reply::default();
    for (name, cookie, number) in all {
        let kind = image.nodes.get(&number).map_or(0, |node| node.mode >> 12);
        if !reply.directory_entry(limit, number, cookie, kind, name) {
            break;
        }
    }
    Ok(reply)
}

fn create(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let owner = (request.uid, request.gid);
    let (content, mode, name) = match request.opcode {
        opcode::MKDIR => {
            let mode = request.body.u32();
            let umask = request.body.u32();
            (
                Image::folder(),
                0o040_000 | mode & !umask & 0o7777,
                request.body.name(),
            )
        }
        opcode::SYMLINK => {
            let name = request.body.name();
            let target = PathBuf::from(request.body.name());
            (Content::Link(target), 0o120_777, name)
        }
        opcode::MKNOD => {
            let mode = request.body.u32();
            let _device = request.body.u32();
            let umask = request.body.u32();
            let _padding = request.body.u32();
            (Image::file(), mode & !umask, request.body.name())
        }
        _ => {
            let _flags = request.body.u32();
            let mode = 0o100_000 | request.body.u32() & 0o7777;
            let umask = request.body.u32();
            let _open_flags = request.body.u32();
            (Image::file(), mode & !umask, request.body.name())
        }
    };
    if image.find(request.node, name).is_some() {
        return Err(Errno::EXIST);
    }
    let number = image.add(content, mode, owner);
    image.bind(request.node, name, number);
    let mut reply = entry(image, Some(number))?;
    if request.opcode == opcode::CREATE {
        reply.opened();
    }
    Ok(reply)
}

fn is_filled_folder(image: &Image, number: u64) -> bool {
    let node = image.nodes.get(&number).map(|node| &node.content);
    matches!(node, Some(Content::Folder { names, .. }) if !names.is_empty())
}

fn remove(image: &mut Image, request: &mut Request<'_>) -> Answer {
    let name = request.body.name();
    let number = image.find(request.node, name).ok_or(Errno::NOENT)?;
    if is_filled_folder(image, number) {
        return Err(Errno::NOTEMPTY);
    }
    image.unbind(request.node, name);
    Ok(Reply::default())
}

fn rename(image: &mut Image, request: &mut Request<'_>) -> Answer {
    const NO_REPLACE: u32 = 1;
    let folder = request.body.u64();
    let mut flags = 0;
    if request.opcode == opcode::RENAME2 {
        flags = request.body.u32();
        let _padding = request.body.u32();
    }
    let (from, to) = (request.body.name(), request.body.name());
    if flags & !NO_REPLACE != 0 {
        return Err(Errno::INVAL);
    }
    let number = image.find(request.node, from).ok_or(Errno::NOENT)?;
    if let Some(replaced) = image.find(folder, to) {
        if flags & NO_REPLACE != 0 {
            return Err(Errno::EXIST);
        }
        if replaced == number {
            return Ok(Reply::default());
        }
        if is_filled_folder(image, replaced) {
            return Err(Errno::NOTEMPTY);
        }
    }
    image.unbind(request.node, from);
    image.bind(folder, to, number);
    debug_assert_ne!(number, ROOT, "the root has no name");
    Ok(Reply::default())
}

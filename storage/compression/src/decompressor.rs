//! Plain bytes from compressed ones.

use std::{
    fmt,
    io::{self, BufReader, Read},
};

use crate::{Method, lz4::Lz4Reader};

/// How much of the compressed bytes is read at a time.
const CHUNK: usize = 16 * 1024;
/// The largest window of zstd, as a power of two: what its highest level needs, and what every
/// decoder accepts. No more of it is touched than the message is long.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Memory for xz in KiB: its highest level needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 80 << 10;

/// Reads the plain bytes of a compressed message.
///
/// What is damaged, cut short, or decompresses to more than the limit is an error of the kind
/// [`io::ErrorKind::InvalidData`]; errors of the reader below are passed on as they are. After an
/// error there are no more bytes.
pub struct Decompressor<R: Read> {
    method: Method,
    decoder: Option<Decoder<R>>,
    /// So many more plain bytes may come.
    left: u64,
}

type Input<R> = BufReader<Watched<R>>;

enum Decoder<R: Read> {
    // Boxed: the states of the others are on the heap already.
    Gzip(Box<flate2::bufread::MultiGzDecoder<Input<R>>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    Lz4(Lz4Reader<Input<R>>),
    Xz(Box<lzma_rust2::XzReader<Input<R>>>),
}

impl<R: Read> Decompressor<R> {
    /// Over the compressed bytes. No more than `limit` plain bytes are given.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(method: Method, compressed: R, limit: u64) -> io::Result<Self> {
        let input = BufReader::with_capacity(CHUNK, Watched::new(compressed));
        let decoder = match method {
            Method::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
            Method::Bzip2 => Decoder::Bzip2(bzip2::bufread::MultiBzDecoder::new(input)),
            Method::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Decoder::Zstd(decoder)
            }
            Method::Lz4 => Decoder::Lz4(Lz4Reader::new(input)),
            Method::Xz => Decoder::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(
                input,
                true,
                XZ_MEMORY_KIB,
            ))),
        };
        Ok(Self {
            method,
            decoder: Some(decoder),
            left: limit,
        })
    }

    fn read_limited(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Err(damaged("nothing is read after an error"));
        };
        let most = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        if most > 0 {
            let read = decoder.read(out.get_mut(..most).unwrap_or_default())?;
            self.left -= read as u64;
            return Ok(read);
        }
        // The end must come now; the decoder checks its sums when it does.
        match decoder.read(&mut [0])? {
            0 => Ok(0),
            _ => Err(damaged("more than there should be")),
        }
    }

    /// Who is to blame for an error: the reader below, or the bytes.
    fn blame(&mut self, error: &io::Error) -> io::Error {
        let input = self.decoder.as_mut().map(Decoder::input);
        input
            .and_then(|input| input.get_mut().failure.take())
            .unwrap_or_else(|| damaged(&format!("{} data: {error}", self.method)))
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.read_limited(out).map_err(|error| {
            let blamed = self.blame(&error);
            // Decoders are not made to go on after an error.
            self.decoder = None;
            blamed
        })
    }
}

impl<R: Read> fmt::Debug for Decompressor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("method", &self.method)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Decoder<R> {
    fn input(&mut self) -> &mut Input<R> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Bzip2(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Lz4(decoder) => decoder.input(),
            Self::Xz(decoder) => decoder.inner_mut(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(out),
            Self::Bzip2(decoder) => decoder.read(out),
            Self::Zstd(decoder) => decoder.read(out),
            Self::Lz4(decoder) => decoder.read(out),
            Self::Xz(decoder) => decoder.read(out),
        }
    }
}

/// Remembers the error of the reader below: decoders wrap errors, each in its own way.
struct Watched<R> {
    inner: R,
    failure: Option<io::Error>,
}

impl<R> Watched<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            failure: None,
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let same = error.kind().into();
                    self.failure = Some(error);
                    return Err(same);
                }
                read => return read,
            }
        }
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("compressed message is damaged: {what}"),
    )
}

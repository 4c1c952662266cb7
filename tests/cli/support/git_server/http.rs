//! HTTP/1.1 messages as far as git clients use them (RFC 9110, RFC 9112).
//!
//! Reads request heads and bodies (with a length or chunked) from a buffered stream and writes
//! answers with a `Content-Length`. Nothing is decoded but the chunks: a gzip body stays gzip.
//! Anything malformed is an [`std::io::Error`], on which the connection is closed.

use std::io::{self, BufRead, Error, ErrorKind, Read};

/// Most bytes of one request head, and of one line within a chunked body.
const HEAD_LIMIT: u64 = 64 * 1024;

/// A request line and its headers.
#[derive(Debug)]
pub struct Head {
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    headers: Vec<(String, String)>,
}

/// How the end of a request body is known (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 also when the request names no length.
    Exactly(u64),
    /// Chunks, the last of them empty.
    Chunked,
}

/// An answer with a body that is complete in memory.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names and values; `Content-Length` is added when it is written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Head {
    /// Reads a request head; `None` if the client closed the connection between requests.
    ///
    /// # Errors
    /// A failed read, a connection that ends within the head, or a head that is malformed or too long.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut reader = reader.take(HEAD_LIMIT);
        let request_line = loop {
            match read_line(&mut reader)? {
                None => return Ok(None),
                Some(line) if line.is_empty() => {}
                Some(line) => break line,
            }
        };
        let mut words = request_line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed("request line"));
        };
        let mut headers = Vec::new();
        loop {
            let line = read_line(&mut reader)?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Head { method: method.to_owned(), target: target.to_owned(), headers }))
    }

    /// The value of the first header of that name, in any letter case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a header has this value, in any letter case.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.header(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// How long the body is.
    ///
    /// # Errors
    /// A length that is no number.
    pub fn body_length(&self) -> io::Result<BodyLength> {
        if self.has("Transfer-Encoding", "chunked") {
            return Ok(BodyLength::Chunked);
        }
        let length = self.header("Content-Length").unwrap_or("0");
        let length = length.parse().map_err(|_| malformed("content length"))?;
        Ok(BodyLength::Exactly(length))
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, without its question mark; empty if there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

impl BodyLength {
    /// Reads the whole body.
    ///
    /// # Errors
    /// A failed read, an early end, or malformed chunks.
    pub fn read(self, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match self {
            BodyLength::Exactly(length) => read_exactly(reader, length, &mut body)?,
            BodyLength::Chunked => {
                while let length @ 1.. = read_chunk_size(reader)? {
                    read_exactly(reader, length, &mut body)?;
                    read_line(&mut reader.take(HEAD_LIMIT))?;
                }
                while read_line(&mut reader.take(HEAD_LIMIT))?.is_some_and(|line| !line.is_empty()) {}
            }
        }
        Ok(body)
    }

    /// Reads half of the body, or half of its first chunk.
    ///
    /// # Errors
    /// A failed read, an early end, or a malformed chunk.
    pub fn read_half(self, reader: &mut impl BufRead) -> io::Result<()> {
        let length = match self {
            BodyLength::Exactly(length) => length,
            BodyLength::Chunked => read_chunk_size(reader)?,
        };
        read_exactly(reader, length / 2, &mut Vec::new())
    }
}

impl Response {
    /// An answer of one content type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }.with("Content-Type", content_type)
    }

    /// An answer in plain text, which git clients show to the user.
    pub fn text(status: u16, text: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", text)
    }

    /// The same answer with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The answer as it is sent, with its `Content-Length`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // RFC 9110 § 8.6: not in a 204
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads what a CGI program wrote: headers, an empty line, the body (RFC 3875, section 6).
    ///
    /// # Errors
    /// Output without an empty line, with a malformed header or status.
    pub fn from_cgi(mut output: &[u8]) -> io::Result<Response> {
        let mut response = Response { status: 200, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = read_line(&mut output)?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("Status") {
                let code = value.split(' ').next().unwrap_or_default();
                response.status = code.parse().map_err(|_| malformed("status"))?;
            } else if !name.eq_ignore_ascii_case("Content-Length") {
                response = response.with(name, value);
            }
        }
        response.body = output.to_vec();
        Ok(response)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let Some(line) = line.strip_suffix('\n') else {
        return Err(ErrorKind::UnexpectedEof.into());
    };
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn read_chunk_size(reader: &mut impl BufRead) -> io::Result<u64> {
    let line = read_line(&mut reader.take(HEAD_LIMIT))?.ok_or(ErrorKind::UnexpectedEof)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(size, 16).map_err(|_| malformed("chunk size"))
}

fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(length).read_to_end(body)?;
    if u64::try_from(read).is_ok_and(|read| read == length) { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_heads() {
        let read = |text: &str| Head::read(&mut text.as_bytes());
        let head = read("\r\nPOST /a?b=c?d HTTP/1.1\r\nHost:x\r\ncontent-LENGTH: 7 \r\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!((head.path(), head.query()), ("/a", "b=c?d"));
        assert_eq!(head.body_length().unwrap(), BodyLength::Exactly(7));
        assert!(head.has("HOST", "X") && head.header("Expect").is_none());
        assert!(read("").unwrap().is_none());
        let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        let cases = ["GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nno\r\n\r\n", &endless];
        for bad in cases {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reads_bodies() {
        let chunks = "1\r\na\r\n00A;x=y\r\n0123456789\r\n0\r\n\r\n";
        let cases = [
            (BodyLength::Exactly(3), "abcd", Some("abc")),
            (BodyLength::Exactly(0), "abcd", Some("")),
            (BodyLength::Exactly(5), "abcd", None),
            (BodyLength::Chunked, chunks, Some("a0123456789")),
            (BodyLength::Chunked, "0\r\nTrailer: x\r\n\r\n", Some("")),
            (BodyLength::Chunked, "2\r\na\r\n", None),
            (BodyLength::Chunked, "x\r\n", None),
            (BodyLength::Chunked, "", None),
        ];
        for (length, text, expected) in cases {
            let body = length.read(&mut text.as_bytes()).ok();
            assert_eq!(body.as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
        for (length, text) in [(BodyLength::Exactly(4), "abcd"), (BodyLength::Chunked, "4\r\nabcd")] {
            let mut text = text.as_bytes();
            length.read_half(&mut text).unwrap();
            assert_eq!(text, b"cd");
        }
    }

    #[test]
    fn turns_cgi_into_http() {
        let cgi = b"Status: 404 Not Found\r\nX: y\r\n\r\n\r\nbody";
        let sent = b"HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 6\r\n\r\n\r\nbody";
        assert_eq!(Response::from_cgi(cgi).unwrap().to_bytes(), sent);
        assert!(Response::from_cgi(b"X: y\r\n").is_err());
    }
}

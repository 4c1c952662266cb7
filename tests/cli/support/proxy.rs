//! A small forward proxy on 127.0.0.1: CONNECT for HTTPS, absolute addresses for HTTP, with a login if wanted.

use base64::Engine as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A running proxy; it ends with the test's process.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that everybody may use, or only `login` (`user:password`).
    pub fn start(login: Option<&'static str>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listening");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                // an error is a client that went away
                thread::spawn(move || serve(stream, login, &requests).ok());
            }
        });
        Proxy { address, seen }
    }

    /// `127.0.0.1:PORT`.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// The request lines so far; they are forgotten.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(client: TcpStream, login: Option<&str>, requests: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let Some(first) = lines.first().cloned() else { return Ok(()) };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(first.clone());
    let mut client = client;
    let expected = login.map(|login| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login)));
    let header = |name: &str| {
        let fields = lines.iter().filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    if expected.is_some() && header("Proxy-Authorization") != expected {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let words: Vec<_> = first.split(' ').collect();
    let (method, target) = (words[0], words[1]);
    if method == "CONNECT" {
        let server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return pump(reader, client, server);
    }
    let rest = target.strip_prefix("http://").ok_or(io::ErrorKind::InvalidData)?;
    let (place, path) = rest.split_once('/').ok_or(io::ErrorKind::InvalidData)?;
    let mut server = TcpStream::connect(place)?;
    let kept = lines[1..].iter().filter(|line| {
        let lower = line.to_ascii_lowercase();
        !lower.starts_with("proxy-") && !lower.starts_with("connection:")
    });
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    server.write_all(format!("{method} /{path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n").as_bytes())?;
    pump(reader, client, server)
}

fn pump(mut from_client: BufReader<TcpStream>, mut client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_server, mut to_server) = (server.try_clone()?, server);
    let up = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut buffer) {
            if to_server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        to_server.shutdown(Shutdown::Both).ok();
    });
    io::copy(&mut from_server, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    up.join().map_err(|_| io::ErrorKind::Other.into())
}

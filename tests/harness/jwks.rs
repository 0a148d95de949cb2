//! An issuer's JWKS endpoint that can misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::issuer::signing::KeyPairPem;
use serde_json::{Value, json};

/// What the endpoint answers.
#[derive(Clone, Debug)]
pub(crate) enum Serves {
    /// These keys.
    Keys(Vec<Value>),
    /// This status, these header lines and this body.
    Raw { status: u16, fields: String, body: String },
    /// Nothing, for this long, and then nothing.
    Hang(Duration),
}

/// A running endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Jwks {
    address: SocketAddr,
    serves: Arc<Mutex<Serves>>,
    requests: Arc<AtomicUsize>,
}

impl Jwks {
    pub(crate) fn start(serves: Serves) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let jwks = Self {
            address: listener.local_addr().expect("an address"),
            serves: Arc::new(Mutex::new(serves)),
            requests: Arc::default(),
        };
        let serving = jwks.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut buffer = [0; 4096];
                    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                        match stream.read(&mut buffer) {
                            Ok(bytes @ 1..) => head.extend_from_slice(&buffer[..bytes]),
                            Ok(_) | Err(_) => return,
                        }
                    }
                    serving.requests.fetch_add(1, Ordering::SeqCst);
                    let serves = serving.serves.lock().expect("the answer").clone();
                    let (status, fields, body) = match serves {
                        Serves::Keys(keys) => (200, String::new(), json!({"keys": keys}).to_string()),
                        Serves::Raw { status, fields, body } => (status, fields, body),
                        Serves::Hang(pause) => return std::thread::sleep(pause),
                    };
                    let answer = format!(
                        "HTTP/1.1 {status} x\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        jwks
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub(crate) fn serve(&self, serves: Serves) {
        *self.serves.lock().expect("the answer") = serves;
    }

    /// How often it was asked.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The public half of a P-256 pair as a JWK.
pub(crate) fn jwk(pair: &KeyPairPem, id: &str) -> Value {
    let base64: String = pair.public.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).expect("PEM");
    // SubjectPublicKeyInfo of a P-256 key ends with the uncompressed point.
    let point = &der[der.len() - 64..];
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id,
        "x": encode(&point[..32]), "y": encode(&point[32..]),
    })
}

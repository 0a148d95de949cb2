//! An issuer's JWKS endpoint that can misbehave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::issuer::key_pairs::KeyPairPem;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::certificates::Certificate;

/// What the endpoint answers.
#[derive(Clone, Debug)]
pub(crate) enum JwksReply {
    /// These keys.
    Keys(Vec<Value>),
    /// This status, these header lines and this body.
    Raw { status: u16, fields: String, body: String },
    /// These keys, after a while.
    Slow(Duration, Vec<Value>),
    /// Nothing, for this long, and then nothing.
    Hang(Duration),
    /// The first to one request, and then the second.
    Once(Box<JwksReply>, Box<JwksReply>),
}

/// What requests and answers travel on.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A running endpoint.
#[derive(Clone, Debug)]
pub(crate) struct JwksEndpoint {
    scheme: &'static str,
    address: SocketAddr,
    serves: Arc<Mutex<JwksReply>>,
    requests: Arc<AtomicUsize>,
}

impl JwksEndpoint {
    pub(crate) fn start(serves: JwksReply) -> Self {
        Self::listen("http", serves, |stream| Some(Box::new(stream)))
    }

    /// An endpoint that speaks TLS with this certificate.
    pub(crate) fn start_tls(serves: JwksReply, certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
        let chain = chain.collect::<Result<_, _>>().expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        let config = Arc::new(config);
        Self::listen("https", serves, move |stream| {
            let connection = ServerConnection::new(config.clone()).ok()?;
            Some(Box::new(StreamOwned::new(connection, stream)))
        })
    }

    fn listen(
        scheme: &'static str,
        serves: JwksReply,
        accept: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let jwks = Self {
            scheme,
            address: listener.local_addr().expect("an address"),
            serves: Arc::new(Mutex::new(serves)),
            requests: Arc::default(),
        };
        let serving = jwks.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, accept) = (serving.clone(), accept.clone());
                std::thread::spawn(move || accept(stream).map(|stream| serving.answer(stream)));
            }
        });
        jwks
    }

    fn answer(&self, mut stream: Box<dyn Stream>) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(bytes @ 1..) => head.extend_from_slice(&buffer[..bytes]),
                Ok(_) | Err(_) => return,
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let serves = self.next();
        let set = |keys: Vec<Value>| (200, String::new(), json!({"keys": keys}).to_string());
        let (status, fields, body) = match serves {
            JwksReply::Keys(keys) => set(keys),
            JwksReply::Raw { status, fields, body } => (status, fields, body),
            JwksReply::Slow(pause, keys) => {
                std::thread::sleep(pause);
                set(keys)
            }
            JwksReply::Hang(pause) => return std::thread::sleep(pause),
            JwksReply::Once(..) => unreachable!("it was taken apart"),
        };
        let answer = format!(
            "HTTP/1.1 {status} x\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
    }

    /// What the next request is answered with.
    fn next(&self) -> JwksReply {
        let mut serves = self.serves.lock().expect("the answer");
        let next = serves.clone();
        let JwksReply::Once(first, then) = next else { return next };
        *serves = *then;
        *first
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/jwks.json", self.scheme, self.address)
    }

    pub(crate) fn serve(&self, serves: JwksReply) {
        *self.serves.lock().expect("the answer") = serves;
    }

    /// How often it was asked.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The public half of a P-256 pair as a JWK.
pub(crate) fn jwk(pair: &KeyPairPem, id: &str) -> Value {
    let der = der(pair);
    // SubjectPublicKeyInfo of a P-256 key ends with the uncompressed point.
    let point = &der[der.len() - 64..];
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id,
        "x": encode(&point[..32]), "y": encode(&point[32..]),
    })
}

/// The public half of an RSA pair of 2048 bits as a JWK.
pub(crate) fn rsa_jwk(pair: &KeyPairPem, id: &str) -> Value {
    let der = der(pair);
    // SubjectPublicKeyInfo of an RSA key ends with the modulus and the exponent 65537.
    let (numbers, exponent) = der.split_at(der.len() - 5);
    assert_eq!(exponent, [2, 3, 1, 0, 1], "another exponent");
    let modulus = &numbers[numbers.len() - 256..];
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
        "n": encode(modulus), "e": encode(&exponent[2..]),
    })
}

fn der(pair: &KeyPairPem) -> Vec<u8> {
    let base64: String = pair.public.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).expect("PEM")
}

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::UpstreamSettings;
use crate::config::login::LoggedIn;
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(5);

/// An identity service, and where it is.
#[derive(Debug)]
struct Identity {
    settings: HandOff,
    upstream: Arc<Upstream>,
}

impl Identity {
    fn as_service(&self) -> Service<'_> {
        Service { settings: &self.settings, upstream: &self.upstream }
    }
}

fn service(peers: &[SocketAddr], tls: Option<UpstreamTls>) -> Identity {
    let second = Duration::from_secs(1);
    let settings = UpstreamSettings {
        name: "identity".into(),
        peers: peers.iter().map(|peer| peer.to_string().into()).collect(),
        tls,
        connect_timeout: second,
        read_timeout: second,
        write_timeout: second,
        idle_timeout: second,
        in_flight_max: None,
        retries: 0,
    };
    let upstream = Arc::new(Upstream::new(settings));
    let settings = HandOff {
        upstream: 0,
        path: "/verify?x=1".into(),
        subject: "/user/id".into(),
        roles: Some("/user/roles".into()),
        scopes: Some("/scope".into()),
        claims: vec![("email".into(), "/user/email".into()), ("tier".into(), "/tier".into())],
        timeout: TIMEOUT,
        on_failure: OnFailure::Own,
    };
    Identity { settings, upstream }
}

fn credentials() -> NameAndPassword {
    let password = Secret::new("p\"\u{1}\u{e9}".as_bytes().to_vec());
    NameAndPassword { name: "al\\ice".into(), password }
}

async fn ask(service: &Identity) -> LoginOutcome {
    drop(rustls::crypto::ring::default_provider().install_default());
    let id = HeaderValue::from_static("id-7");
    let sender = Sender { client: "::ffff:192.0.2.7".parse().ok(), request_id: Some(&id) };
    ServiceClients::new(1).ask(service.as_service(), &credentials(), sender).await
}

/// Reads one request, head and body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.expect("reads");
        assert!(length > 0, "ends before it should");
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let announced = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let announced: usize = announced.map_or(0, |text| text.parse().expect("a length"));
        if bytes.len() >= end + 4 + announced {
            return String::from_utf8(bytes).expect("text");
        }
    }
}

async fn answer_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let request = request(&mut stream).await;
    stream.write_all(answer).await.expect("writes");
    drop(stream.shutdown().await);
    request
}

/// A service that answers one request with these bytes, and tells what it was asked.
async fn answering(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepts");
        answer_on(stream, &answer).await
    });
    (address, served)
}

fn ok(body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn asked_and_answered(answer: impl Into<Vec<u8>>) -> LoginOutcome {
    let (address, _served) = answering(answer).await;
    ask(&service(&[address], None)).await
}

fn slug_of(outcome: LoginOutcome) -> Slug {
    match outcome {
        LoginOutcome::Undecided(denial) => denial.slug(),
        LoginOutcome::Unintelligible(slug) => slug,
        other @ (LoginOutcome::LoggedIn(_)
        | LoginOutcome::Refused(_)
        | LoginOutcome::Limited(_)) => {
            panic!("{other:?}")
        }
    }
}

#[tokio::test]
async fn service_is_asked_in_json_and_believed() {
    let answer = json!({
        "user": { "id": 42, "roles": ["a", "b"], "email": "a@example.com" }, "scope": "x  y",
    });
    let (address, served) = answering(ok(&answer)).await;
    let LoginOutcome::LoggedIn(LoggedIn { subject, roles, scopes, claims }) =
        ask(&service(&[address], None)).await
    else {
        panic!("not logged in")
    };
    assert_eq!((&*subject, roles.len()), ("42", 2));
    assert!(scopes.iter().map(|scope| &**scope).eq(["x", "y"]), "{scopes:?}");
    assert_eq!(Value::Object(claims), json!({ "email": "a@example.com" }));
    let request = served.await.expect("served");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let head = head.to_lowercase();
    assert!(head.starts_with("post /verify?x=1 http/1.1\r\n"), "{head}");
    for field in [
        format!("host: {address}"),
        "content-type: application/json".to_owned(),
        "x-forwarded-for: 192.0.2.7".to_owned(),
        "x-request-id: id-7".to_owned(),
    ] {
        assert!(head.contains(&field), "{field} in {head}");
    }
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, json!({ "username": "al\\ice", "password": "p\"\u{1}\u{e9}" }));
}

#[tokio::test]
async fn addresses_are_taken_in_turn() {
    let answer = ok(&json!({ "user": { "id": "a" } }));
    let (first, _served) = answering(answer.clone()).await;
    let (second, _served) = answering(answer).await;
    let service = service(&[first, second], None);
    drop(rustls::crypto::ring::default_provider().install_default());
    let (clients, credentials) = (ServiceClients::new(1), credentials());
    for _ in 0..2 {
        let sender = Sender { client: None, request_id: None };
        let outcome = clients.ask(service.as_service(), &credentials, sender).await;
        assert!(matches!(outcome, LoginOutcome::LoggedIn(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn certificate_is_verified_for_the_name_and_by_the_authority_of_the_upstream() {
    let certified = rcgen::generate_simple_self_signed(["identity.internal".to_owned()]);
    let certified = certified.expect("a certificate");
    let der = certified.cert.der().to_vec();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![der.clone().into()], key)
        .expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_on(stream, ok(&json!({ "user": { "id": "a" } })).as_bytes()).await;
            }
        }
    });
    let tls = |server_name: &str| {
        Some(UpstreamTls { server_name: server_name.into(), ca: Some(vec![der.clone()]) })
    };
    let outcome = ask(&service(&[address], tls("identity.internal"))).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn(_)), "{outcome:?}");
    let other = ask(&service(&[address], tls("other.internal"))).await;
    assert_eq!(slug_of(other), Slug::UpstreamUnavailable);
    let elsewhere = ask(&service(&[address], tls("127.0.0.9"))).await;
    assert_eq!(slug_of(elsewhere), Slug::UpstreamUnavailable);
}

#[tokio::test]
async fn refusal_is_a_refusal_and_anything_else_is_not() {
    for status in [400, 401, 403, 404, 410, 422] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        let outcome = asked_and_answered(answer).await;
        assert!(
            matches!(outcome, LoginOutcome::Refused(RefusalMessage::Gateway)),
            "{status}: {outcome:?}"
        );
    }
    for (after, seconds) in
        [("", 5), ("Retry-After: 7\r\n", 7), ("Retry-After: Wed, 21 Oct\r\n", 5)]
    {
        let answer = format!("HTTP/1.1 429 Slow\r\n{after}Content-Length: 0\r\n\r\n");
        let outcome = asked_and_answered(answer).await;
        assert!(matches!(outcome, LoginOutcome::Limited(told) if told == seconds), "{outcome:?}");
    }
    for status in [204, 302, 304, 307, 500, 503] {
        let to = "Location: http://127.0.0.1:1/\r\n";
        let answer = format!("HTTP/1.1 {status} Hm\r\n{to}Content-Length: 0\r\n\r\n");
        let outcome = asked_and_answered(answer).await;
        assert_eq!(slug_of(outcome), Slug::UpstreamUnavailable, "{status}");
    }
}

#[tokio::test]
async fn words_of_the_service_are_passed_on_within_bounds() {
    let told = |length: usize| {
        let body = "x".repeat(length);
        let kind = "Content-Type: text/x\r\nSet-Cookie: a=b";
        format!("HTTP/1.1 403 No\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let ask_for = async |length| {
        let (address, _served) = answering(told(length)).await;
        let mut service = service(&[address], None);
        service.settings.on_failure = OnFailure::PassThrough;
        ask(&service).await
    };
    let LoginOutcome::Refused(RefusalMessage::Service(ServiceRefusal { status, kind, body })) =
        ask_for(ANSWER_BYTES_MAX).await
    else {
        panic!("not in its words")
    };
    assert_eq!((status, kind.as_bytes(), body.len()), (403, b"text/x".as_slice(), 65536));
    let outcome = ask_for(ANSWER_BYTES_MAX + 1).await;
    assert!(matches!(outcome, LoginOutcome::Refused(RefusalMessage::Gateway)), "{outcome:?}");
}

#[tokio::test]
async fn garbage_is_not_a_login_and_not_a_refusal() {
    let user = |user: Value| ok(&json!({ "user": user }));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"user\":{".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"user\":{\"id\":\"a\"}}".to_owned(),
        "SSH-2.0-OpenSSH\r\n".to_owned(),
        "\0\0\0".to_owned(),
        String::new(),
        user(json!({})),
        user(json!({ "id": "" })),
        user(json!({ "id": null })),
        user(json!({ "id": true })),
        user(json!({ "id": 1.5 })),
        user(json!({ "id": ["a"] })),
        user(json!({ "id": "a".repeat(256) })),
        user(json!({ "id": "a", "roles": "a" })),
        user(json!({ "id": "a", "roles": [1] })),
        user(json!({ "id": "a", "roles": {} })),
        ok(&json!({ "user": { "id": "a" }, "scope": 7 })),
    ] {
        let outcome = asked_and_answered(answer.clone()).await;
        assert_eq!(slug_of(outcome), Slug::UpstreamUnavailable, "{answer}");
    }
    for fine in [json!({ "id": "a", "roles": null }), json!({ "id": "a".repeat(255) })] {
        let outcome = asked_and_answered(user(fine)).await;
        assert!(matches!(outcome, LoginOutcome::LoggedIn(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn answers_without_end_are_cut_off() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n{";
    assert_eq!(slug_of(asked_and_answered(announced).await), Slug::UpstreamUnavailable);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let written = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("writes");
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        let mut written = 0_usize;
        while stream.write_all(chunk.as_bytes()).await.is_ok() {
            written += chunk.len();
        }
        written
    });
    let begun = Instant::now();
    assert_eq!(slug_of(ask(&service(&[address], None)).await), Slug::UpstreamUnavailable);
    assert!(begun.elapsed() < TIMEOUT, "not by the clock");
    let written = written.await.expect("ends when nobody reads any more");
    assert!(written < 64 << 20, "{written}");
}

#[tokio::test]
async fn silence_and_slowness_are_bounded_by_one_time() {
    let short = Duration::from_millis(300);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let mut hangs = service(&[address], None);
    hangs.settings.timeout = short;
    assert_eq!(slug_of(ask(&hangs).await), Slug::UpstreamTimeout);
    let trickles = tokio::spawn(async move {
        // The first one was never looked at.
        drop(listener.accept().await);
        let (mut stream, _) = listener.accept().await.expect("accepts");
        request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("writes");
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let begun = Instant::now();
    assert_eq!(slug_of(ask(&hangs).await), Slug::UpstreamTimeout);
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    trickles.await.expect("ends");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    assert_eq!(slug_of(ask(&service(&[address], None)).await), Slug::UpstreamUnavailable);
    assert_eq!(slug_of(ask(&service(&[], None)).await), Slug::UpstreamUnavailable);
}

//! One connection to one server: TLS, login, timeouts, the server's identity, and whether it is a
//! master.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::UnboundedSender;

use super::fault;
use super::identity::{Role, ServerIdentity};
use crate::store::settings::{RedisAddress, RedisSettings, RedisTls};

/// How long a server may take to answer a command that does not block.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it may take until a connection is usable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of the gateway's connections in `CLIENT LIST`.
const CLIENT_NAME: &str = "portcullis";

/// How to reach servers.
pub(super) struct Dial {
    login: RedisConnectionInfo,
    database: i64,
    /// An address that holds all that TLS needs, because the crate has no nameable type for that
    /// alone; its host and port are placeholders.
    tls: Option<ConnectionAddr>,
}

/// The kind of server that is expected at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedServer {
    /// The configured server, unless it says that it is a replica: a replica's data is not certain,
    /// and it accepts no writes.
    Server,
    /// A server that says that it is a master.
    Master,
    /// A node of a cluster, which knows where a master is.
    Node,
    /// A sentinel.
    Sentinel,
}

/// Where to put the server's push messages. The queue never blocks.
pub(super) type Pushes = UnboundedSender<PushInfo>;

/// A connection, and the identity of its server, if that can be known.
pub(super) struct Dialled {
    pub(super) connection: MultiplexedConnection,
    pub(super) identity: Option<ServerIdentity>,
}

/// Why there is no connection, in words.
pub(super) enum ConnectFailure {
    /// The server cannot push messages.
    Mute(String),
    /// Another reason.
    Fault(String),
}

impl Dial {
    /// The way to connect by these settings.
    ///
    /// # Errors
    ///
    /// A message for the operator: a user name, a password or a certificate cannot be used.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, String> {
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &settings.login.password {
            let password = std::str::from_utf8(password.expose())
                .map_err(|_| "the password for Redis is not UTF-8".to_owned())?;
            login = login.set_password(password);
            if let Some(username) = &settings.login.username {
                login = login.set_username(username);
            }
        }
        let tls = settings.tls.as_ref().map(trust).transpose()?;
        Ok(Self { login, database: settings.database, tls })
    }

    /// Connects, logs in, and makes sure that the expected kind of server answers.
    pub(super) async fn connect(
        &self,
        address: &RedisAddress,
        expected: ExpectedServer,
    ) -> Result<Dialled, String> {
        in_time(async {
            let connection = match (self.open(address, &self.login, expected, None).await, expected)
            {
                // Sentinels often have no password although their servers have one.
                (Err(error), ExpectedServer::Sentinel) if is_login_refused(&error) => {
                    let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
                    self.open(address, &nobody, expected, None).await
                }
                (opened, _) => opened,
            };
            let mut connection = connection.map_err(|error| fault::cause(&error))?;
            let identity = introduce(&mut connection, expected).await?;
            Ok(Dialled { connection, identity })
        })
        .await
        .unwrap_or_else(Err)
    }

    /// The same, on a connection that receives push messages (RESP3).
    pub(super) async fn connect_for_pushes(
        &self,
        address: &RedisAddress,
        expected: ExpectedServer,
        pushes: Pushes,
    ) -> Result<Dialled, ConnectFailure> {
        let login = self.login.clone().set_protocol(ProtocolVersion::RESP3);
        in_time(async {
            let opened = self.open(address, &login, expected, Some(pushes)).await;
            let mut connection = opened.map_err(|error| match is_resp3_refused(&error) {
                true => ConnectFailure::Mute(fault::cause(&error)),
                false => ConnectFailure::Fault(fault::cause(&error)),
            })?;
            let identity =
                introduce(&mut connection, expected).await.map_err(ConnectFailure::Fault)?;
            Ok(Dialled { connection, identity })
        })
        .await
        .unwrap_or_else(|late| Err(ConnectFailure::Fault(late)))
    }

    async fn open(
        &self,
        address: &RedisAddress,
        login: &RedisConnectionInfo,
        expected: ExpectedServer,
        pushes: Option<Pushes>,
    ) -> Result<MultiplexedConnection, RedisError> {
        let RedisAddress { host, port } = address;
        let mut place = match &self.tls {
            Some(tls) => tls.clone(),
            None => ConnectionAddr::Tcp(String::new(), 0),
        };
        if let ConnectionAddr::Tcp(name, number)
        | ConnectionAddr::TcpTls { host: name, port: number, .. } = &mut place
        {
            *name = host.to_string();
            *number = *port;
        }
        let database = match expected {
            ExpectedServer::Server | ExpectedServer::Master => self.database,
            ExpectedServer::Node | ExpectedServer::Sentinel => 0,
        };
        let how = place
            .into_connection_info()?
            .set_redis_settings(login.clone().set_db(database))
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        if let Some(pushes) = pushes {
            config = config.set_push_sender(pushes);
        }
        Client::open(how)?.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// The outcome of connecting, or an error if it takes too long.
async fn in_time<T>(connecting: impl Future<Output = T>) -> Result<T, String> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    connected.map_err(|_| "no connection in time".to_owned())
}

/// Whether the server, or a proxy before it, does not know `HELLO 3`.
fn is_resp3_refused(error: &RedisError) -> bool {
    error.kind() == ErrorKind::RESP3NotSupported || error.code() == Some("NOPROTO")
}

fn is_login_refused(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
}

/// Sets the connection's name and asks who the server is: for the role with `HELLO` and not `ROLE`,
/// because every user may send `HELLO`; for the identity with `INFO`, which some users may not
/// send.
async fn introduce(
    connection: &mut MultiplexedConnection,
    expected: ExpectedServer,
) -> Result<Option<ServerIdentity>, String> {
    let mut greeting = redis::pipe();
    greeting.cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME);
    greeting.cmd("HELLO");
    match expected {
        ExpectedServer::Server | ExpectedServer::Master => drop(greeting.cmd("INFO").arg("server")),
        ExpectedServer::Node | ExpectedServer::Sentinel => {}
    }
    let answers = connection.send_packed_commands(&greeting, 0, greeting.len()).await;
    let mut answers = answers.map_err(|error| fault::cause(&error))?.into_iter().skip(1);
    let (hello, info) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    match (expected, Role::from_hello(&hello), hello) {
        (ExpectedServer::Sentinel, _, Value::ServerError(error)) if error.code() == "NOAUTH" => {
            return Err("the user name or the password is refused, or missing".to_owned());
        }
        (ExpectedServer::Sentinel | ExpectedServer::Node, ..) => return Ok(None),
        (ExpectedServer::Server | ExpectedServer::Master, Role::Master, _) => {}
        (ExpectedServer::Server, Role::Replica, _) => return Err(fault::REPLICA.to_owned()),
        // A refusal here does not matter: a command that the server refuses later is reported then.
        (ExpectedServer::Server, Role::Other, _) => {}
        (ExpectedServer::Master, _, Value::ServerError(error)) => {
            return Err(fault::cause(&error.into()));
        }
        (ExpectedServer::Master, Role::Replica | Role::Other, _) => {
            return Err("it is not a master".to_owned());
        }
    }
    Ok(ServerIdentity::from_info(info))
}

/// Reads the files for TLS, once.
fn trust(tls: &RedisTls) -> Result<ConnectionAddr, String> {
    let RedisTls { ca_pem, identity } = tls;
    if let Some(pem) = ca_pem
        && CertificateDer::pem_slice_iter(pem).flatten().next().is_none()
    {
        return Err("the file of authorities for Redis holds no certificate in PEM".to_owned());
    }
    if let Some((chain, key)) = identity {
        fit_together(chain, key.expose())
            .map_err(|error| format!("our certificate for Redis cannot be used: {error}"))?;
    }
    let client_tls = identity.as_ref().map(|(chain, key)| ClientTlsConfig {
        client_cert: chain.clone(),
        client_key: key.expose().to_vec(),
    });
    let certificates = TlsCertificates { client_tls, root_cert: ca_pem.clone() };
    let nowhere =
        ConnectionAddr::TcpTls { host: String::new(), port: 0, insecure: false, tls_params: None };
    // The crate reads PEM only while it builds a client.
    let client = Client::build_with_tls(nowhere, certificates)
        .map_err(|error| format!("TLS for Redis: {error}"))?;
    Ok(client.get_connection_info().addr().clone())
}

/// Whether a connection will be able to use this chain with this key.
fn fit_together(chain: &[u8], key: &[u8]) -> Result<(), String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the chain is not PEM ({error})"))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the key is not PEM ({error})"))?;
    rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("certificate and key do not go together ({error})"))?;
    Ok(())
}

//! `portcullis health`: for container health checks, where there is no other client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::Args;

use super::{ConfigFile, Failure, serve};
use crate::config::Configuration;
use crate::feed::fetch::Fetcher;

const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    file: ConfigFile,
    /// The admin listener, such as http://127.0.0.1:9901, if not the configuration's.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

impl Health {
    pub(super) fn run(self) -> Result<(), Failure> {
        let base = match self.admin {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let configuration = Configuration::load(&self.file.config, None)
                    .map_err(|problems| Failure::BadInput(problems.to_string()))?;
                let mut address = configuration.admin.address;
                // Nobody can connect to "any address".
                match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv4Addr::LOCALHOST.into())
                    }
                    IpAddr::V6(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv6Addr::LOCALHOST.into())
                    }
                    IpAddr::V4(_) | IpAddr::V6(_) => {}
                }
                format!("http://{address}")
            }
        };
        serve::install_crypto_provider();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        runtime.block_on(async {
            let fetcher = Fetcher::new(TIMEOUT, None).map_err(Failure::failed)?;
            let answer = fetcher.fetch(&format!("{base}/readyz")).await;
            answer.map(drop).map_err(|error| Failure::Failed(format!("not ready: {error}")))
        })
    }
}

//! Conventions of every command: exit codes, environment variables, signals. The manual and
//! `docs/reference/command-line.md` show these tables.

/// The exit codes, and what they mean.
pub const EXIT_CODES: [(&str, &str); 3] = [
    ("0", "The command succeeded."),
    ("1", "The command failed. Standard error says why."),
    ("2", "The arguments or the configuration are wrong. Nothing was changed."),
];

/// The environment variables that the program reads, and what they do.
pub const ENVIRONMENT: [(&str, &str); 6] = [
    ("PORTCULLIS_CONFIG", "Configuration file, where --config is not given."),
    (
        "PORTCULLIS_ADMIN_TOKEN_FILE",
        "File with the admin token, where --admin-token-file is not given.",
    ),
    (
        "PORTCULLIS_DATA_DIRECTORY",
        "Data directory, where the configuration has no `data_directory`.",
    ),
    (
        "PORTCULLIS_LOG",
        "Filter of the gateway's log, such as `warn` or `portcullis=debug` (default: `info`).",
    ),
    ("NO_COLOR", "Set and not empty: no colours in the log, even on a terminal."),
    ("USER", "Name of the operator in the audit log, where --actor is not given."),
];

/// The signals that `portcullis serve` handles, and how.
pub const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGHUP",
        "Reloads the configuration. So does a change to the configuration file or to a file that it \
         names. Requests in flight go on with the configuration that they began with; verified tokens \
         and fetched keys are kept. A configuration with an error is refused as a whole: the log says \
         why, and the old one stays in force. So is one that changes what cannot change while the \
         gateway runs: the addresses of listeners, whether they speak TLS, `admin.address`, `store` \
         (its password and certificates too), `sessions.cache_size` and `server.threads`.",
    ),
    (
        "SIGTERM, SIGINT",
        "Stops the gateway: `/readyz` answers 503, no new connections are accepted, and requests in \
         flight finish within `server.shutdown_grace`. A second signal stops it at once.",
    ),
];

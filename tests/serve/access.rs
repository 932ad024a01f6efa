//! Who may come in: TLS, certificates of clients, tokens.

use crate::common::{PRIOR, record};
use crate::served::{Served, client, send};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use relucent::pipeline::Options;
use relucent::recover::Settings;
use relucent::serve::{
    Access, AccessFiles, CredentialFiles, Credentials, Peer, Send, Server, Serving,
};
use relucent::wire::v1;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tonic::Code;

const TOKEN: &str = "4f1c7a0e9b3d5862aa01bb02cc03dd04";

/// An authority of this test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pem = folder.join(format!("{name}.pem"));
        std::fs::write(&pem, certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate that it signs, and its key.
    fn sign(&self, folder: &Path, name: &str) -> (Option<PathBuf>, Option<PathBuf>) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, pem) = (
            folder.join(format!("{name}.crt")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        (Some(cert), Some(pem))
    }
}

fn token(folder: &Path, name: &str, text: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    Some(path)
}

fn serving(files: &AccessFiles) -> Serving {
    Serving {
        access: Access::read(files).unwrap(),
        ..Serving::default()
    }
}

fn peer(served: &Served, files: &CredentialFiles) -> Peer {
    Peer {
        address: served.peer.address.clone(),
        credentials: Credentials::read(files).unwrap(),
    }
}

/// Whether a call is let in; why not otherwise.
fn enters(peer: &Peer) -> Result<(), String> {
    client(async {
        let mut client = peer.connect().await.map_err(|error| format!("{error:?}"))?;
        let stats = client.stats(v1::StatsRequest {}).await;
        stats.map(|_| ()).map_err(|status| {
            assert!(
                matches!(
                    status.code(),
                    Code::Unauthenticated | Code::Unknown | Code::Unavailable | Code::Internal
                ),
                "{status:?}"
            );
            format!("{status:?}")
        })
    })
}

fn bind(address: &str, files: &AccessFiles) -> Result<Server, String> {
    let address = address.parse().unwrap();
    let settings = Settings::default();
    let options = Options::default();
    Server::bind(
        &address,
        &*PRIOR,
        &settings,
        options,
        vec![],
        serving(files),
    )
    .map_err(|error| error.to_string())
}

#[test]
fn beyond_this_machine_both_tls_and_client_authentication_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let authority = Authority::new(folder, "authority");
    let (cert, key) = authority.sign(folder, "server");
    let open = AccessFiles::default();
    let with_token = AccessFiles {
        token: token(folder, "token", TOKEN),
        ..open.clone()
    };
    let with_tls = AccessFiles {
        cert,
        key,
        ..open.clone()
    };
    for (files, missing) in [
        (&open, "expected TLS"),
        (&with_token, "expected TLS"),
        (&with_tls, "expected client authentication"),
    ] {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let refused = bind(address, files).err().unwrap();
            assert!(
                refused.contains(missing) && refused.contains(address),
                "{refused}"
            );
        }
        assert!(
            bind("127.0.0.1:0", files).is_ok(),
            "this machine may do as it likes"
        );
    }
    let both = AccessFiles {
        token: with_token.token,
        ..with_tls.clone()
    };
    let mutual = AccessFiles {
        client_ca: Some(authority.pem.clone()),
        ..with_tls
    };
    assert!(bind("0.0.0.0:0", &both).is_ok() && bind("0.0.0.0:0", &mutual).is_ok());
    let nonsense = AccessFiles {
        key: Some(authority.pem), // no key
        ..both
    };
    let refused = bind("127.0.0.1:0", &nonsense).err().unwrap();
    assert!(refused.contains("a certificate, its key"), "{refused}");
}

#[test]
fn clients_without_a_certificate_of_the_authority_stay_outside() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (ours, theirs) = (
        Authority::new(folder, "ours"),
        Authority::new(folder, "theirs"),
    );
    let (cert, key) = ours.sign(folder, "server");
    let files = AccessFiles {
        cert,
        key,
        client_ca: Some(ours.pem.clone()),
        token: None,
    };
    // beyond this machine, as far as the server knows
    let served = Served::with("0.0.0.0:0", Options::default(), vec![], serving(&files));
    let address = served
        .peer
        .address
        .to_string()
        .replace("0.0.0.0", "127.0.0.1");
    let credentials = |ca: &Authority, by: Option<&Authority>, name| {
        let (cert, key) = by.map_or((None, None), |by| by.sign(folder, name));
        let files = CredentialFiles {
            ca: Some(ca.pem.clone()),
            cert,
            key,
            ..CredentialFiles::default()
        };
        Peer {
            address: address.parse().unwrap(),
            credentials: Credentials::read(&files).unwrap(),
        }
    };
    let friend = credentials(&ours, Some(&ours), "friend");
    assert_eq!(enters(&friend), Ok(()));
    assert!(enters(&credentials(&ours, None, "nobody")).is_err());
    assert!(enters(&credentials(&ours, Some(&theirs), "stranger")).is_err());
    let fooled = enters(&credentials(&theirs, Some(&ours), "fooled")).unwrap_err();
    assert!(
        fooled.contains("UnknownIssuer"),
        "the client looks at the server too: {fooled}"
    );
    let plain: Peer = friend.address.clone().into();
    assert!(enters(&plain).is_err(), "without TLS");
    let log = folder.join("one.mcap");
    record(&log, 1, 5);
    let trips = send(&log, &friend, Send { rate: 0.0 }, &AtomicBool::new(false)).unwrap();
    assert_eq!(trips.depth, 5);
    served.stop();
}

#[test]
fn calls_without_the_token_stay_outside_and_hold_no_seat() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let authority = Authority::new(folder, "authority");
    let (cert, key) = authority.sign(folder, "server");
    let right = token(folder, "right", TOKEN);
    let wrong = token(folder, "wrong", &TOKEN.replace('4', "5"));
    let files = AccessFiles {
        cert,
        key,
        client_ca: None,
        token: right.clone(),
    };
    let mut serving = serving(&files);
    serving.limits.handshake_s = 1;
    let served = Served::with("127.0.0.1:0", Options::default(), vec![], serving);
    let with = |token: Option<PathBuf>| {
        let files = CredentialFiles {
            ca: Some(authority.pem.clone()),
            token,
            ..CredentialFiles::default()
        };
        peer(&served, &files)
    };
    assert_eq!(enters(&with(right.clone())), Ok(()));
    for token in [None, wrong] {
        let refused = enters(&with(token)).unwrap_err();
        assert!(
            refused.contains("Bearer TOKEN") && !refused.contains(TOKEN),
            "{refused}"
        );
    }
    // who never shows it is let go, however politely it holds on
    client(async {
        let mut inside = with(right.clone()).connect().await.unwrap();
        let mut outside = with(None).connect().await.unwrap();
        assert!(outside.stats(v1::StatsRequest {}).await.is_err());
        let open = inside
            .stats(v1::StatsRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(open.connections, 2);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let open = inside
            .stats(v1::StatsRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(open.connections, 1);
        drop(outside);
    });
    // a token is not sent where others could read it
    let bare = Peer {
        address: "192.0.2.1:50551".parse().unwrap(),
        credentials: Credentials::read(&CredentialFiles {
            token: right,
            ..CredentialFiles::default()
        })
        .unwrap(),
    };
    let refused = client(bare.connect()).err().unwrap().to_string();
    assert!(refused.contains("expected --ca"), "{refused}");
    served.stop();
}

//! Upstreams over TLS: whose certificates are trusted, and connections that are kept and lost as without it.

use turnpike_testkit::{
    Gateway, Script, Upstream,
    client::Reply,
    gateway::Setup,
    manifest,
    tls::Authority,
    upstream::{Demands, Handshake},
};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_KEY, chat, model, secret, setup, streamed};

/// Says that nothing was reached, and that TLS is why.
fn assert_untrusted(reply: &Reply) {
    assert_eq!((reply.status, reply.error_code().as_str()), (503, "backend_unreachable"), "{reply:?}");
    let error = &reply.json()["error"];
    assert_eq!(error["message"], "Could not connect to the model's backend: TLS failed.");
}

async fn served(host: &str, authority: &Authority, names: &[&str]) -> Upstream {
    Demands::default().api_key(UPSTREAM_KEY).host(host).tls(authority, names).start().await
}

async fn gateway(upstream: &Upstream, change: impl FnOnce(Setup) -> Setup) -> Gateway {
    let objects = [model(MODEL, upstream), secret(), manifest::key("alice", ALICE)];
    change(setup().manifests(&objects)).start().await
}

/// An upstream under this host name, and a gateway that trusts it.
async fn trusted(host: &str) -> (Stage, Authority) {
    let authority = Authority::new();
    let upstream = served(host, &authority, &[host]).await;
    let gateway = gateway(&upstream, |setup| setup.arg("--ca-file").arg(&authority.ca_file())).await;
    (Stage { upstream, gateway }, authority)
}

#[tokio::test]
async fn an_own_authority_is_trusted_once_it_is_given() {
    for host in ["localhost", "127.0.0.1"] {
        let (stage, _authority) = trusted(host).await;
        let reply = stage.alice().post(CHAT, &chat()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");
        stage.upstream.next(Script::pieces(30));
        let rest = stage.alice().stream(CHAT, &streamed()).await.rest().await;
        assert!(rest.clean && rest.events.last().unwrap().data == "[DONE]", "{rest:?}");
        assert_eq!(rest.events.len(), 33, "a role, thirty pieces, an end, [DONE]");
        let name = (host == "localhost").then(|| host.to_owned());
        let expected = Handshake { protocol: Some("http/1.1".to_owned()), server_name: name };
        for seen in stage.upstream.log() {
            assert_eq!(seen.handshake.as_ref(), Some(&expected), "http/1.1 is offered, HTTP/2 is not");
        }
        stage.settles().await;
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_the_log_says_so() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = served("localhost", &authority, &["localhost"]).await;
    for trusted in [None, Some(other.ca_file())] {
        let gateway = gateway(&upstream, |setup| match &trusted {
            None => setup,
            Some(file) => setup.arg("--ca-file").arg(file),
        })
        .await;
        let alice = gateway.client().with_key(ALICE);
        for body in [chat(), streamed()] {
            assert_untrusted(&alice.post(CHAT, &body).await);
        }
        let said = |line: &str| line.contains("TLS failed") && line.contains("invalid peer certificate");
        gateway.process.wrote("a line about TLS", said).await;
        let output = gateway.process.output();
        for content in ["BEGIN", "of a test", UPSTREAM_KEY] {
            assert!(!output.contains(content), "{content} in {output}");
        }
    }
    assert_eq!(upstream.log().len(), 0, "no request, and no key, left the gateway");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new();
    for (host, certified) in [
        ("localhost", "127.0.0.1"),
        ("localhost", "elsewhere.example"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "127.0.0.2"),
    ] {
        let upstream = served(host, &authority, &[certified]).await;
        let gateway = gateway(&upstream, |setup| setup.arg("--ca-file").arg(&authority.ca_file())).await;
        let reply = gateway.client().with_key(ALICE).post(CHAT, &chat()).await;
        assert_untrusted(&reply);
        assert!(!reply.text().contains(certified), "{reply:?}");
        gateway.process.wrote("the name", |line| line.contains("not valid for name")).await;
        assert_eq!(upstream.log().len(), 0);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let plain = crate::stage::upstream().await;
    let model = model(MODEL, &plain).with("provider.baseURL", plain.url().replace("http://", "https://"));
    let gateway = setup().manifests(&[model, secret(), manifest::key("alice", ALICE)]).start().await;
    assert_untrusted(&gateway.client().with_key(ALICE).post(CHAT, &chat()).await);
    assert_eq!(plain.log().len(), 0);
}

#[tokio::test]
async fn connections_are_kept_and_replaced_unnoticed() {
    let authority = Authority::new();
    let upstream = served("localhost", &authority, &["localhost"]).await;
    let gateway =
        gateway(&upstream, |setup| setup.arg("--ca-file").arg(&authority.ca_file()).arg("--runtimes").arg("1")).await;
    let stage = Stage { upstream, gateway };
    for body in [chat(), streamed()].iter().cycle().take(10) {
        let reply = stage.alice().post(CHAT, body).await;
        assert!(reply.status == 200 && reply.complete, "{reply:?}");
    }
    assert_eq!(stage.upstream.connections(), 1, "one handshake for all");
    stage.upstream.close_idle();
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    assert_eq!(stage.upstream.connections(), 2);
    // Servers that give up a connection just as it is used: with TLS, mostly without a word (no close_notify).
    for script in [Script::hang_up(), Script::reset()] {
        let (before, requests) = (stage.upstream.connections(), stage.upstream.log().len());
        stage.upstream.next(script.clone());
        assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200, "{script:?}: one free retry");
        assert_eq!(stage.upstream.connections(), before + 1);
        assert_eq!(stage.upstream.log().len(), requests + 2);
    }
    // Free once only, and only where the connection was a kept one.
    stage.upstream.next(Script::hang_up());
    stage.upstream.next(Script::hang_up());
    let reply = stage.alice().post(CHAT, &chat()).await;
    assert_eq!((reply.status, reply.error_code().as_str()), (502, "backend_closed"));
    stage.still_serves().await;
}

#[tokio::test]
async fn files_without_a_certificate_refuse_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let garbled = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    let cases = [
        (folder.path().join("missing.pem").to_str().unwrap().to_owned(), "cannot read"),
        (file("empty.pem", ""), "holds no certificate"),
        (file("prose.pem", "not a certificate"), "holds no certificate"),
        (file("garbled.pem", garbled), "unusable certificate"),
    ];
    for (path, why) in cases {
        let mut process = setup().arg("--ca-file").arg(&path).spawn();
        assert!(!process.exit().await.success(), "{path}");
        let output = process.output();
        assert!(output.contains(&path) && output.contains(why), "{why}: {output}");
    }
}

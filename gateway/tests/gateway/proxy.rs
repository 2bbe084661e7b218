//! A forward proxy towards upstreams: tunnels, credentials, and who goes past it.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use turnpike_bundle::entry::Egress;
use turnpike_gateway::upstream::{
    Endpoint,
    proxy::{Proxy as Rules, ProxyVariables},
};
use turnpike_testkit::{
    Gateway, Script, Upstream,
    gateway::Setup,
    manifest,
    proxy::{Conduct, Proxy},
    tls::Authority,
    upstream::Demands,
};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_KEY, chat, model, secret, setup, streamed, with};

/// A name that only the proxy can resolve: loopback itself always goes past it.
const NAME: &str = "provider.test";
/// 127.0.0.1 to every resolver, asked or not, but written as a name is: reachable by way of the proxy and past it.
const SHORT: &str = "127.0.1";

async fn secured(authority: &Authority) -> Upstream {
    Demands::default().api_key(UPSTREAM_KEY).host(NAME).tls(authority, &[NAME]).start().await
}

async fn plain(host: &str) -> Upstream {
    Demands::default().api_key(UPSTREAM_KEY).host(host).start().await
}

async fn gateway(upstream: &Upstream, change: impl FnOnce(Setup) -> Setup) -> Gateway {
    let objects = [model(MODEL, upstream), secret(), manifest::key("alice", ALICE)];
    change(setup().manifests(&objects)).start().await
}

#[tokio::test]
async fn tls_goes_through_the_tunnel() {
    let authority = Authority::new();
    let upstream = secured(&authority).await;
    let proxy = Proxy::start(Conduct::Lead(upstream.address())).await;
    let gateway = gateway(&upstream, |setup| {
        setup
            .arg("--ca-file")
            .arg(&authority.ca_file())
            .arg("--runtimes")
            .arg("1")
            .env("HTTPS_PROXY", &proxy.url("us%40er:p%3Ass%2Fw%C3%B6rd"))
            .env("HTTP_PROXY", "http://127.0.0.1:9")
    })
    .await;
    let stage = Stage { upstream, gateway };
    let reply = stage.alice().post(CHAT, &chat()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    stage.upstream.next(Script::pieces(20));
    let rest = stage.alice().stream(CHAT, &streamed()).await.rest().await;
    assert!(rest.clean && rest.events.len() == 23, "{rest:?}");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "the tunnel is kept for the next request: {asked:?}");
    assert_eq!(
        (asked[0].target(), asked[0].header("host")),
        (stage.upstream.authority(), Some(stage.upstream.authority()))
    );
    let expected = format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss/wörd"));
    assert_eq!(asked[0].header("proxy-authorization"), Some(&*expected));
    for seen in stage.upstream.log() {
        assert_eq!(seen.header("proxy-authorization"), None);
        assert_eq!(seen.handshake.unwrap().server_name.as_deref(), Some(NAME), "TLS is with the upstream");
    }
    stage.settles().await;
}

#[tokio::test]
async fn the_scheme_of_the_upstream_chooses_the_proxy() {
    let upstream = plain(NAME).await;
    let proxy = Proxy::start(Conduct::Lead(upstream.address())).await;
    let gateway = gateway(&upstream, |setup| {
        setup.env("HTTP_PROXY", &proxy.url("")).env("HTTPS_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "other.test")
    })
    .await;
    assert_eq!(gateway.client().with_key(ALICE).post(CHAT, &chat()).await.status, 200);
    let asked = proxy.asked();
    assert_eq!(asked[0].target(), upstream.authority());
    assert_eq!(asked[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn hosts_of_no_proxy_go_past_it() {
    let upstream = plain(SHORT).await;
    for (except, past) in [(SHORT, true), ("x.test,  .0.1 ", true), ("*", true), ("27.0.1", false), ("x.test", false)] {
        let proxy = Proxy::start(Conduct::Lead(upstream.address())).await;
        let gateway = gateway(&upstream, |setup| setup.env("HTTP_PROXY", &proxy.url("")).env("NO_PROXY", except)).await;
        assert_eq!(gateway.client().with_key(ALICE).post(CHAT, &chat()).await.status, 200, "NO_PROXY={except}");
        assert_eq!(proxy.asked().len(), usize::from(!past), "NO_PROXY={except}");
    }
}

#[test]
fn no_proxy_takes_hosts_suffixes_and_a_star() {
    let hop = |url: &str, except: &str| {
        let variables = ProxyVariables {
            https: Some("http://proxy.test:3128".to_owned()),
            http: None,
            except: Some(except.to_owned()).filter(|except| !except.is_empty()),
        };
        Rules::new(&variables).unwrap().hop(&Endpoint::parse(url, Egress::default()).unwrap().origin).is_some()
    };
    for (url, except) in [
        ("https://api.openai.com/v1", ""),
        ("https://api.openai.com/v1", "openai.org,api,com.api.openai"),
        ("https://notopenai.com/v1", "openai.com"),
        ("https://notopenai.com/v1", ".openai.com"),
        ("https://10.0.0.1/v1", "localhost"),
        ("https://api.openai.com/v1", " , ,"),
    ] {
        assert!(hop(url, except), "{url} goes through the proxy with NO_PROXY={except}");
    }
    for (url, except) in [
        ("https://api.openai.com/v1", "*"),
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://API.OpenAI.com/v1", "x, Api.openai.COM ,y"),
        ("https://api.openai.com:8443/v1", "openai.com"),
        ("https://api.openai.com/v1", ".openai.com"),
        ("https://api.openai.com/v1", "*.openai.com"),
        ("https://vllm.models.svc.cluster.local/v1", ".svc.cluster.local,10.0.0.1"),
        ("https://10.0.0.1/v1", ".svc.cluster.local,10.0.0.1"),
        ("https://localhost/v1", ""),
        ("https://LOCALHOST:1/v1", ""),
        ("https://127.0.0.1/v1", ""),
        ("https://127.9.9.9/v1", ""),
        ("https://[::1]/v1", ""),
        ("http://api.openai.com/v1", ""),
    ] {
        assert!(!hop(url, except), "{url} goes past the proxy with NO_PROXY={except}");
    }
}

#[tokio::test]
async fn a_proxy_that_fails_shows_no_credential() {
    let authority = Authority::new();
    let upstream = secured(&authority).await;
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\nno entry for hunter2";
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(20_000));
    for answer in [refusal, "HTTP/1.1 502 Bad Gateway\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "", &endless] {
        let proxy = Proxy::start(Conduct::Say(answer.to_owned())).await;
        let stage = Stage {
            gateway: gateway(&upstream, |setup| setup.env("HTTPS_PROXY", &proxy.url("proxyuser:hunter2"))).await,
            upstream: plain(NAME).await,
        };
        for body in [chat(), streamed()] {
            let reply = stage.alice().post(CHAT, &body).await;
            assert_eq!((reply.status, reply.error_code().as_str()), (503, "backend_unreachable"), "{reply:?}");
            assert_eq!(reply.json()["error"]["message"], "Could not connect to the model's backend: the proxy failed.");
        }
        stage.gateway.process.wrote("the failure", |line| line.contains("the proxy failed")).await;
        if answer == refusal {
            stage.gateway.process.wrote("the status", |line| line.contains("407")).await;
        }
        let output = stage.gateway.process.output();
        for secret in ["hunter2", "proxyuser", &BASE64_STANDARD.encode("proxyuser:hunter2"), UPSTREAM_KEY] {
            assert!(!output.contains(secret), "{secret} in {output}");
        }
        stage.settles().await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_silent_proxy_is_bounded_by_the_connect_timeout() {
    let authority = Authority::new();
    let upstream = secured(&authority).await;
    let proxy = Proxy::start(Conduct::Stall).await;
    let hurried = model(MODEL, &upstream).with("timeouts", json!({"connect": "1s"}));
    let objects = [hurried, secret(), manifest::key("alice", ALICE)];
    let gateway = setup().manifests(&objects).env("HTTPS_PROXY", &proxy.url("")).start().await;
    let reply = gateway.client().with_key(ALICE).post(CHAT, &chat()).await;
    assert_eq!((reply.status, reply.error_code().as_str()), (504, "timeout"), "{reply:?}");
    assert_eq!(proxy.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn empty_variables_count_as_unset() {
    let upstream = plain("127.0.0.1").await;
    let gateway =
        gateway(&upstream, |setup| setup.env("HTTPS_PROXY", "").env("HTTP_PROXY", "").env("NO_PROXY", "")).await;
    assert_eq!(gateway.client().with_key(ALICE).post(CHAT, &chat()).await.status, 200);
}

#[tokio::test]
async fn a_malformed_proxy_refuses_to_start_without_repeating_it() {
    for url in
        ["socks5://me:hunter2@proxy:1080", "https://me:hunter2@proxy", "http://me:hunter2@[proxy", "http://me:hunter2@"]
    {
        for variable in ["HTTPS_PROXY", "HTTP_PROXY"] {
            let mut process = setup().env(variable, url).spawn();
            assert!(!process.exit().await.success(), "{url}");
            let output = process.output();
            assert!(output.contains("proxy") && !output.contains("hunter2"), "{url}: {output}");
        }
    }
}

#[tokio::test]
async fn the_egress_guard_looks_at_addresses_behind_a_proxy_too() {
    let upstream = plain(NAME).await;
    let proxy = Proxy::start(Conduct::Lead(upstream.address())).await;
    let inner = [
        ("private", "http://10.0.0.1:9/v1"),
        ("metadata", "http://169.254.169.254/v1"),
        ("private-6", "http://[fd00::1]:9/v1"),
        // What a resolver, the proxy's as well, takes for an address.
        ("short", "http://127.1:9/v1"),
        ("decimal", "http://2852039166/v1"),
        ("hex", "http://0xa9fea9fe/v1"),
        ("octal", "http://0251.0376.0251.0376/v1"),
        ("mixed", "http://0X7f.1:9/v1"),
    ];
    let models: Vec<_> = inner.iter().map(|(name, url)| manifest::model(name, url)).collect();
    let gateway = gateway(&upstream, |setup| {
        setup.manifests(&models).env("HTTP_PROXY", &proxy.url("")).arg("--egress").arg("guarded")
    })
    .await;
    let alice = gateway.client().with_key(ALICE);
    for (name, _) in inner {
        let reply = alice.post(CHAT, &with(chat(), "model", json!(name))).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (503, "backend_unreachable"), "{name}: {reply:?}");
        assert!(reply.text().contains("egress guard"), "{name}: {reply:?}");
    }
    assert_eq!(proxy.asked(), [], "no tunnel was asked for");
    // Names are the proxy's to resolve, and the proxy itself, which the gateway's owner chose, may be inside.
    assert_eq!(alice.post(CHAT, &chat()).await.status, 200);
}

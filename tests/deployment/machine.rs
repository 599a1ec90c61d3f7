//! The image and the compose file: pinned, as nobody, open to this machine alone, and the same program with the same settings as the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::program::{prove_accepted, prove_grace, prove_listens, prove_read, sources, words};
use super::render::{Rendered, read};
use super::rights::{USER, prove_pinned};

fn compose() -> Value {
    serde_saphyr::from_str(&read("compose.yaml")).expect("compose.yaml is YAML")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    compose["services"].as_object().expect("services").iter().map(|(name, service)| (name.as_str(), service))
}

/// Those that run our image.
fn ours(compose: &Value) -> Vec<(&str, &Value, Vec<String>)> {
    let ours = services(compose).filter(|(_, service)| !service["build"].is_null());
    ours.map(|(name, service)| (name, service, serde_json::from_value(service["command"].clone()).expect("arguments"))).collect()
}

#[test]
fn the_compose_file_starts_the_program_as_the_cluster_does() {
    let compose = compose();
    let pods = Rendered::of("k8s/base").ours();
    let sources = sources();
    let variables = words(&sources, "SLUICE_");
    let ours = ours(&compose);
    assert_eq!(ours.len(), pods.len());
    for (name, service, args) in ours {
        let same = pods.iter().find(|pods| pods.owner == name).unwrap_or_else(|| panic!("no Deployment is called {name}"));
        assert_eq!(args, same.args(), "{name}");
        prove_accepted(&args, name);
        prove_listens(&args, 8080, name);
        let grace = service["stop_grace_period"].as_str().and_then(|grace| grace.strip_suffix('s')).expect("seconds");
        prove_grace(&args, grace.parse().expect("a number"), name);
        let given: BTreeSet<&str> = service["environment"].as_object().expect("variables").keys().map(String::as_str).collect();
        prove_read(given.iter().copied().filter(|name| *name != "TEACHER_API_KEY"), &variables, name);
        let expected: BTreeSet<String> = same.container().env.iter().flatten().map(|env| env.name.clone()).collect();
        assert!(expected.iter().all(|name| given.contains(name.as_str())), "{name} lacks {expected:?}");
        let locked = (&service["read_only"], &service["cap_drop"][0], &service["user"]);
        assert_eq!(locked, (&true.into(), &"ALL".into(), &format!("{USER}:{USER}").into()), "{name}");
    }
}

#[test]
fn only_this_machine_reaches_the_compose_file_s_ports_and_every_server_is_waited_for() {
    let compose = compose();
    for (name, service) in services(&compose) {
        prove_pinned(service["image"].as_str().expect("an image"), name);
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("a port in quotes");
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} to everybody");
        }
        if service["build"].is_null() {
            assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
        }
        for (waited, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(!compose["services"][waited].is_null(), "{name} waits for {waited}, which does not exist");
            assert_eq!(how["condition"], "service_healthy", "{name}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().and_then(|volume| volume.split(':').next()).expect("a source");
            let is_known = source.starts_with("./") || compose["volumes"].as_object().expect("volumes").contains_key(source);
            assert!(is_known, "{name} mounts {source}, which is no volume");
        }
    }
}

#[test]
fn connections_inside_name_servers_ports_and_passwords_that_are_there() {
    let compose = compose();
    let (_, coordinator, _) = ours(&compose).into_iter().find(|(name, ..)| *name == "coordinator").expect("the coordinator");
    let variables = coordinator["environment"].as_object().expect("variables");
    let urls = variables.values().filter_map(Value::as_str).filter(|value| value.contains("://") && !value.starts_with("s3:"));
    for (host, port) in urls.map(address) {
        let ports = compose["services"][&host]["ports"].as_array().unwrap_or_else(|| panic!("no server is called {host}"));
        assert!(ports.iter().any(|published| published == &format!("127.0.0.1:{port}:{port}")), "{host} has no port {port}");
    }

    let dev = Rendered::of("k8s/overlays/dev");
    let text = |object: &Value| -> Vec<String> {
        let encoded = object["data"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
        let is_secret = object["kind"] == "Secret";
        encoded.map(|value| if is_secret { decoded(value) } else { value.to_owned() }).collect()
    };
    let objects = dev.all("Secret").chain(dev.all("ConfigMap"));
    let ours = objects.filter(|object| object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("sluice")));
    let values: Vec<String> = ours.flat_map(text).collect();
    let urls: Vec<&String> = values.iter().filter(|value| value.contains("://") && !value.starts_with("s3:")).collect();
    assert_eq!(urls.len(), 4, "broker, management, Redis and S3");
    for (host, port) in urls.into_iter().map(address) {
        let service = dev.all("Service").find(|service| service["metadata"]["name"] == host.as_str());
        let ports = service.unwrap_or_else(|| panic!("no Service is called {host}"))["spec"]["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|found| found["port"] == port), "{host} has no port {port}");
    }
    for server in ["rabbitmq", "redis", "garage"] {
        let prefix = format!("{server}-");
        let secret = dev.all("Secret").find(|secret| secret["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&prefix)));
        for value in text(secret.expect("credentials")).iter().filter(|value| value.len() > 6 && !value.starts_with("0000")) {
            assert!(values.iter().any(|ours| ours.contains(value.as_str())), "{server} is given {value}, and nobody of ours is");
        }
    }
}

/// Host and port of a URL.
fn address(url: impl AsRef<str>) -> (String, u16) {
    let (_, rest) = url.as_ref().split_once("://").expect("a scheme");
    let authority = rest.split('/').next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = address.split_once(':').expect("a port");
    (host.to_owned(), port.parse().expect("a port's number"))
}

/// The text that a Secret holds in base64.
fn decoded(text: &str) -> String {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(text.into()).expect("base64");
    String::from_utf8(bytes.0).expect("UTF-8")
}

#[test]
fn the_image_is_built_by_the_workspace_s_compiler_and_run_by_nobody() {
    let dockerfile = read("Dockerfile");
    let manifest = read("Cargo.toml");
    let quoted = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix("= \""));
        line.and_then(|line| line.split('"').next()).unwrap_or_else(|| panic!("Cargo.toml says no {key}")).to_owned()
    };
    assert!(dockerfile.contains(&format!("BUILD=rust:{}-", quoted("rust-version"))), "another compiler builds the image");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").expect("stages");
    assert!(last.contains(&format!("USER {USER}:{USER}\n")), "the image runs as somebody else");
    assert!(!last.contains("\nRUN "), "the last stage has no shell to run anything");
    assert!(last.contains("EXPOSE 8080\n") && last.contains("/var/lib/sluice/corpora\n"), "{last}");
    let sluice = format!("sluice:{}", quoted("version"));
    for rendered in ["k8s/base", "k8s/overlays/dev", "k8s/overlays/production"].map(Rendered::of) {
        for pods in rendered.ours() {
            let image = pods.container().image.clone().unwrap_or_default();
            assert!(image.ends_with(&sluice), "{}: {image} is not this version", rendered.from);
        }
    }
    assert!(ours(&compose()).iter().all(|(_, service, _)| service["image"] == sluice.as_str()), "compose.yaml runs another version");
}

//! The manifests against one another: selectors find what they are meant for, ports meet, and no traffic flows that no policy names.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::render::{OVERLAYS, Pods, Rendered, name};

#[test]
fn every_selector_finds_what_it_is_meant_for() {
    for rendered in OVERLAYS.map(Rendered::of) {
        let pods = rendered.pods();
        for pods in &pods {
            assert!(pods.are_selected_by(&pods.selector), "{}: {} does not select its own pods", rendered.from, pods.owner);
        }
        let found = |selector: &Value| {
            pods.iter().filter(|pods| pods.are_selected_by(selector)).map(|pods| pods.owner.as_str()).collect::<Vec<_>>()
        };
        for service in rendered.all("Service") {
            let selector = serde_json::json!({"matchLabels": service["spec"]["selector"]});
            assert_eq!(found(&selector), [service["metadata"]["name"].as_str().expect("a name")], "{}", name(service));
        }
        for budget in rendered.all("PodDisruptionBudget") {
            assert_eq!(found(&budget["spec"]["selector"]), [budget["metadata"]["name"].as_str().expect("a name")], "{}", name(budget));
        }
        for kind in ["NetworkPolicy", "PodMonitor"] {
            for object in rendered.all(kind) {
                let selector = object["spec"].get("podSelector").unwrap_or(&object["spec"]["selector"]);
                assert!(!found(selector).is_empty(), "{} of {} selects nobody", name(object), rendered.from);
            }
        }
        for object in rendered.all("ScaledObject") {
            let target = object["spec"]["scaleTargetRef"]["name"].as_str().expect("a target");
            assert!(rendered.has("Deployment", target), "{} scales {target}, which does not exist", name(object));
        }
        for budgeted in ["coordinator", "synthesis", "filter"] {
            assert!(rendered.has("PodDisruptionBudget", budgeted), "{budgeted} may be evicted all at once");
        }
    }
}

#[test]
fn workers_spread_over_nodes_and_zones_each_kind_by_itself() {
    for pods in Rendered::of("k8s/base").ours().iter().filter(|pods| pods.owner != "coordinator") {
        let spread = pods.spec.topology_spread_constraints.as_deref().unwrap_or_default();
        let keys: Vec<&str> = spread.iter().map(|constraint| constraint.topology_key.as_str()).collect();
        assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"], "{}", pods.owner);
        for constraint in spread {
            let selector = serde_json::to_value(&constraint.label_selector).expect("encodes");
            assert!(pods.are_selected_by(&selector), "{} spreads other pods than its own", pods.owner);
            let keys = constraint.match_label_keys.clone().unwrap_or_default();
            assert!(keys.iter().all(|key| key == "pod-template-hash" || pods.labels.contains_key(key)), "{}: {keys:?}", pods.owner);
        }
    }
}

/// Ports of a container by name.
fn ports(container: &Container) -> BTreeMap<String, i32> {
    let ports = container.ports.iter().flatten();
    ports.map(|port| (port.name.clone().expect("ports are named"), port.container_port)).collect()
}

#[test]
fn probes_services_and_monitors_ask_ports_that_are_listened_on() {
    for rendered in OVERLAYS.map(Rendered::of) {
        let pods = rendered.pods();
        for pods in &pods {
            for container in &pods.spec.containers {
                let ports = ports(container);
                let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
                for probe in probes.into_iter().flatten() {
                    let Some(IntOrString::String(port)) = asked(probe) else { panic!("{}: a probe without a named port", pods.owner) };
                    assert!(ports.contains_key(&port), "{}: a probe asks the port {port}", pods.owner);
                }
            }
        }
        for service in rendered.all("Service") {
            let selector = serde_json::json!({"matchLabels": service["spec"]["selector"]});
            let behind = pods.iter().find(|pods| pods.are_selected_by(&selector)).expect("pods behind it");
            for port in service["spec"]["ports"].as_array().expect("ports") {
                let target = port["targetPort"].as_str().expect("a named target");
                assert_eq!(ports(behind.container()).get(target).map(|port| i64::from(*port)), port["port"].as_i64(), "{}", name(service));
            }
        }
    }
}

fn asked(probe: &Probe) -> Option<IntOrString> {
    let http = probe.http_get.as_ref().map(|get| get.port.clone());
    http.or_else(|| probe.tcp_socket.as_ref().map(|socket| socket.port.clone()))
}

#[test]
fn all_traffic_is_denied_but_what_a_policy_names() {
    for rendered in OVERLAYS.map(Rendered::of) {
        let policies: Vec<NetworkPolicy> = rendered.typed("NetworkPolicy");
        for pods in rendered.pods() {
            let specs: Vec<_> = policies.iter().filter(|policy| applies(policy, &pods)).filter_map(|policy| policy.spec.as_ref()).collect();
            let denies = |spec: &&&k8s_openapi::api::networking::v1::NetworkPolicySpec| spec.ingress.is_none() && spec.egress.is_none();
            let denied: BTreeSet<_> = specs.iter().filter(denies).flat_map(|spec| spec.policy_types.iter().flatten()).collect();
            assert_eq!(denied.len(), 2, "{}: {} is not denied both ways by default", rendered.from, pods.owner);
            let entered: BTreeSet<i32> =
                specs.iter().flat_map(|spec| spec.ingress.iter().flatten()).flat_map(|rule| numbers(&rule.ports)).collect();
            let listened: BTreeSet<i32> = ports(&pods.spec.containers[0]).into_values().collect();
            assert!(entered.is_subset(&listened), "{}: {} lets {entered:?} in and listens on {listened:?}", rendered.from, pods.owner);
            if pods.labels["app.kubernetes.io/name"] != "sluice" {
                continue;
            }
            assert_eq!(entered, [8080].into(), "{}", pods.owner);
            let left: BTreeSet<i32> =
                specs.iter().flat_map(|spec| spec.egress.iter().flatten()).flat_map(|rule| numbers(&rule.ports)).collect();
            let needed = [53, 443, 3900, 5671, 5672, 6379, 6380, 15671, 15672];
            assert!(needed.iter().all(|port| left.contains(port)), "{} may reach only {left:?}", pods.owner);
        }
    }
}

/// Where EKS gives a pod the role it is bound to, which k8s/README.md says works.
#[test]
fn in_production_a_pod_reaches_who_gives_it_the_role_it_is_bound_to() {
    let rendered = Rendered::of("k8s/overlays/production");
    let policies: Vec<NetworkPolicy> = rendered.typed("NetworkPolicy");
    for pods in rendered.ours() {
        let specs = policies.iter().filter(|policy| applies(policy, &pods)).filter_map(|policy| policy.spec.as_ref());
        let is_reached = specs.flat_map(|spec| spec.egress.iter().flatten()).any(|rule| {
            let blocks = rule.to.iter().flatten().filter_map(|peer| peer.ip_block.as_ref());
            numbers(&rule.ports).contains(&80) && blocks.map(|block| block.cidr.as_str()).any(|cidr| cidr == "169.254.170.23/32")
        });
        assert!(is_reached, "{}", pods.owner);
    }
}

fn applies(policy: &NetworkPolicy, pods: &Pods) -> bool {
    let selector = &policy.spec.as_ref().expect("a spec").pod_selector;
    pods.are_selected_by(&serde_json::to_value(selector).expect("encodes"))
}

/// The ports of a rule; one without ports lets everything through, and none of ours does.
fn numbers(ports: &Option<Vec<NetworkPolicyPort>>) -> Vec<i32> {
    let number = |port: &NetworkPolicyPort| match port.port {
        Some(IntOrString::Int(number)) => number,
        _ => panic!("a rule without a port's number"),
    };
    ports.as_ref().expect("every rule names its ports").iter().map(number).collect()
}

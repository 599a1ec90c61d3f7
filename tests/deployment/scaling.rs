//! Scaling and monitoring against the code: queues by the names they have, stages by the names they answer to, metrics that exist.

use std::collections::BTreeMap;

use runtime::QueueName;
use serde_json::Value;

use super::program::{sources, words};
use super::render::{OVERLAYS, Pods, Rendered, read};
use super::schema::{Foreign, PodMonitor, PrometheusRule, ScaledObject};

/// Deployment → the stage whose runnable messages it is scaled by, and the queue it consumes from.
fn scaled() -> BTreeMap<&'static str, (&'static str, QueueName)> {
    let campaign = || "name".to_owned();
    BTreeMap::from([
        ("synthesis", ("synthesis", QueueName::Jobs(campaign()))),
        ("filter", ("filter", QueueName::Candidates(campaign()))),
        ("synthesis-quarantine", ("quarantine", QueueName::Quarantine(campaign()))),
        ("filter-quarantine", ("quarantine", QueueName::QuarantineCandidates(campaign()))),
    ])
}

fn scaled_objects(rendered: &Rendered) -> Vec<(ScaledObject, Pods)> {
    let objects: Vec<Foreign<ScaledObject>> = rendered.typed("ScaledObject");
    assert_eq!(objects.len(), scaled().len(), "{}", rendered.from);
    let with_pods = |object: Foreign<ScaledObject>| {
        let pods = rendered.ours().into_iter().find(|pods| pods.owner == object.spec.scale_target_ref.name).expect("what it scales");
        (object.spec, pods)
    };
    objects.into_iter().map(with_pods).collect()
}

#[test]
fn workers_are_scaled_by_the_runnable_messages_of_their_stage() {
    let sources = sources();
    assert!(sources.contains("\"/api/runnable\"") && words(&sources, "runnabl").contains("runnable"), "nobody serves /api/runnable");
    let rendered = Rendered::of("k8s/overlays/production");
    let coordinator = rendered.all("Service").find(|service| service["metadata"]["name"] == "coordinator").expect("the coordinator's");
    let address = format!(
        "http://coordinator.{}.svc:{}",
        coordinator["metadata"]["namespace"].as_str().expect("a namespace"),
        coordinator["spec"]["ports"][0]["port"]
    );
    for (object, pods) in scaled_objects(&rendered) {
        let [trigger] = object.triggers.as_slice() else { panic!("{}: the larger of two triggers would win", pods.owner) };
        let (stage, _) = &scaled()[pods.owner.as_str()];
        assert!(sources.contains(&format!("\"{stage}\"")), "no source names the stage {stage}");
        assert_eq!(trigger.kind, "metrics-api");
        assert_eq!(trigger.metadata["url"], format!("{address}/api/runnable?stage={stage}"));
        assert_eq!(trigger.metadata["valueLocation"], "runnable");
        assert_eq!(Some(trigger.metadata["targetValue"].clone()), pods.flag("--concurrency"), "{}: jobs per pod", pods.owner);
    }
}

#[test]
fn the_fallback_counts_the_queues_that_the_code_names_with_what_is_unacknowledged() {
    for (object, pods) in scaled_objects(&Rendered::with_components(&["keda", "keda-broker"])) {
        let [trigger] = object.triggers.as_slice() else { panic!("{}: the larger of two triggers would win", pods.owner) };
        let (_, queue) = &scaled()[pods.owner.as_str()];
        let named = queue.to_string();
        let prefix = named.strip_suffix(".name").expect("a queue is named by purpose and campaign");
        let metadata = |key: &str| trigger.metadata.get(key).map(String::as_str);
        assert_eq!(trigger.kind, "rabbitmq");
        assert_eq!(metadata("queueName"), Some(format!("^{prefix}[.].*").as_str()), "{}", pods.owner);
        let counted = ["protocol", "mode", "useRegex", "operation", "excludeUnacknowledged"].map(metadata);
        assert_eq!(counted, ["http", "QueueLength", "true", "sum", "false"].map(Some), "{}", pods.owner);
        assert_eq!(metadata("value"), pods.flag("--concurrency").as_deref(), "{}: jobs per pod", pods.owner);
        assert!(trigger.authentication_ref.is_some(), "{}", pods.owner);
    }
}

#[test]
fn workers_go_to_zero_slowly_and_one_quarantine_is_enough() {
    let rendered = Rendered::of("k8s/overlays/production");
    for (object, pods) in scaled_objects(&rendered) {
        assert_eq!(object.idle_replica_count.unwrap_or(object.min_replica_count), 0, "{} never goes to zero", pods.owner);
        let down = object.advanced.horizontal_pod_autoscaler_config.behavior.scale_down.expect("a slow way down");
        let policies = serde_json::to_value(down.policies).expect("encodes");
        assert_eq!(down.stabilization_window_seconds, Some(600), "{}", pods.owner);
        assert_eq!(policies, serde_json::json!([{"type": "Pods", "value": 1, "periodSeconds": 120}]), "{}", pods.owner);
        assert_eq!(object.max_replica_count == 1, pods.owner.ends_with("-quarantine"), "{}", pods.owner);
    }
    for object in rendered.all("Deployment").filter(|object| object["metadata"]["name"] != "coordinator") {
        assert!(object["spec"]["replicas"].is_null(), "applying again would undo the scaling of {}", object["metadata"]["name"]);
    }
}

#[test]
fn alerts_and_dashboards_ask_for_metrics_that_exist_and_have_a_line_in_the_runbook() {
    let sources = sources();
    let metrics = words(&sources, "sluice_");
    let rendered = Rendered::of("k8s/overlays/production");
    let rules: Vec<Foreign<PrometheusRule>> = rendered.typed("PrometheusRule");
    let alerts: Vec<_> = rules.iter().flat_map(|rule| &rule.spec.groups).flat_map(|group| &group.rules).collect();
    assert!(alerts.len() > 5, "{} alerts", alerts.len());
    let readme = read("k8s/README.md");
    for alert in &alerts {
        assert!(readme.contains(&format!("| `{}` |", alert.alert)), "k8s/README.md has no line for {}", alert.alert);
    }
    let dashboard = rendered.all("ConfigMap").find_map(|map| map["data"]["sluice.json"].as_str()).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter().map(|panel| &panel["targets"][0]["expr"]);
    let asked: Vec<&str> =
        panels.map(|expr| expr.as_str().expect("an expression")).chain(alerts.iter().map(|alert| alert.expr.as_str())).collect();
    for expression in asked {
        for metric in words(expression, "sluice_") {
            // Prometheus' name for how often a histogram was fed.
            let histogram = metric.strip_suffix("_count").filter(|name| sources.contains(&format!("histogram!(\"{name}\"")));
            assert!(metrics.contains(histogram.unwrap_or(metric)), "no source registers {metric}");
        }
        for queue in expression.split("queue=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let exists = QueueName::all("name").iter().any(|name| name.to_string() == format!("{queue}.name"));
            assert!(exists, "no queue is called {queue}: {expression}");
        }
    }
}

#[test]
fn every_pod_of_ours_is_scraped() {
    for rendered in OVERLAYS.map(Rendered::of).iter().filter(|rendered| rendered.all("PodMonitor").next().is_some()) {
        let monitors: Vec<Foreign<PodMonitor>> = rendered.typed("PodMonitor");
        let [monitor] = monitors.as_slice() else { panic!("{} monitors", monitors.len()) };
        let selector = serde_json::to_value(&monitor.spec.selector).expect("encodes");
        for pods in rendered.ours() {
            assert!(pods.are_selected_by(&selector), "{} is not scraped", pods.owner);
            let ports: Vec<&str> = pods.container().ports.iter().flatten().filter_map(|port| port.name.as_deref()).collect();
            let [endpoint] = monitor.spec.pod_metrics_endpoints.as_slice() else { panic!("one endpoint a pod") };
            assert!(ports.contains(&endpoint.port.as_str()) && endpoint.path == "/metrics", "{}", pods.owner);
        }
    }
}

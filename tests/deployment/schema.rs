//! Strict decoding of every object: a field that its kind does not have, or has with another type, is an error with its path.
//!
//! Kubernetes' own types ignore what they do not know, so an object is decoded, encoded again and compared: what was lost was unknown, what
//! came anew was required and missing. The kinds of KEDA and the Prometheus operator are written down here as far as they are used.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is wrong with an object; empty when nothing is.
pub(super) fn mistakes(object: &Value) -> Vec<String> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    match (version, object["kind"].as_str().unwrap_or_default()) {
        ("v1", "ConfigMap") => compared::<ConfigMap>(object),
        ("v1", "Namespace") => compared::<Namespace>(object),
        ("v1", "Secret") => compared::<Secret>(object),
        ("v1", "Service") => compared::<Service>(object),
        ("v1", "ServiceAccount") => compared::<ServiceAccount>(object),
        ("apps/v1", "DaemonSet") => compared::<DaemonSet>(object),
        ("apps/v1", "Deployment") => compared::<Deployment>(object),
        ("apps/v1", "StatefulSet") => compared::<StatefulSet>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => compared::<NetworkPolicy>(object),
        ("policy/v1", "PodDisruptionBudget") => compared::<PodDisruptionBudget>(object),
        ("keda.sh/v1alpha1", "ScaledObject") => compared::<Foreign<ScaledObject>>(object),
        ("keda.sh/v1alpha1", "TriggerAuthentication") => compared::<Foreign<TriggerAuthentication>>(object),
        ("monitoring.coreos.com/v1", "PodMonitor") => compared::<Foreign<PodMonitor>>(object),
        ("monitoring.coreos.com/v1", "PrometheusRule") => compared::<Foreign<PrometheusRule>>(object),
        (version, kind) => vec![format!("{kind} of {version} is not known to this test; add its type")],
    }
}

fn compared<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    let decoded: T = match serde_json::from_value(object.clone()) {
        Ok(decoded) => decoded,
        Err(error) => return vec![error.to_string()],
    };
    let mut found = Vec::new();
    compare("", object, &serde_json::to_value(decoded).expect("encodes"), &mut found);
    found
}

fn compare(path: &str, written: &Value, understood: &Value, found: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                match understood.get(key) {
                    Some(other) => compare(&format!("{path}.{key}"), value, other, found),
                    None => found.push(format!("{path}.{key} is unknown")),
                }
            }
            let missing = understood.keys().filter(|key| !written.contains_key(*key));
            found.extend(missing.map(|key| format!("{path}.{key} is missing")));
        }
        (Value::Array(written), Value::Array(understood)) if written.len() == understood.len() => {
            for (index, (value, other)) in written.iter().zip(understood).enumerate() {
                compare(&format!("{path}[{index}]"), value, other, found);
            }
        }
        (written, understood) if written == understood => {}
        (written, understood) => found.push(format!("{path} is {written} and means {understood}")),
    }
}

/// An object that is none of Kubernetes' own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Foreign<S> {
    api_version: String,
    kind: String,
    pub(super) metadata: ObjectMeta,
    pub(super) spec: S,
}

/// KEDA: what scales a Deployment, and by what.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScaledObject {
    pub(super) scale_target_ref: ScaleTarget,
    polling_interval: u32,
    cooldown_period: u32,
    pub(super) min_replica_count: u32,
    pub(super) max_replica_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle_replica_count: Option<u32>,
    fallback: Fallback,
    pub(super) advanced: Advanced,
    pub(super) triggers: Vec<Trigger>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScaleTarget {
    pub(super) name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fallback {
    failure_threshold: u32,
    replicas: u32,
    behavior: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Advanced {
    pub(super) horizontal_pod_autoscaler_config: AutoscalerConfig,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AutoscalerConfig {
    pub(super) behavior: HorizontalPodAutoscalerBehavior,
}

/// Where the number comes from. Every value of the metadata is a string, as KEDA asks for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Trigger {
    #[serde(rename = "type")]
    pub(super) kind: String,
    name: String,
    metric_type: String,
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_ref: Option<ScaleTarget>,
}

/// KEDA: credentials of a trigger.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TriggerAuthentication {
    pub(super) secret_target_ref: Vec<SecretTarget>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretTarget {
    parameter: String,
    pub(super) name: String,
    pub(super) key: String,
}

/// The Prometheus operator: which pods are scraped.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PodMonitor {
    pub(super) selector: LabelSelector,
    pod_target_labels: Vec<String>,
    pub(super) pod_metrics_endpoints: Vec<Endpoint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub(super) port: String,
    pub(super) path: String,
    interval: String,
}

/// The Prometheus operator: alerts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrometheusRule {
    pub(super) groups: Vec<RuleGroup>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleGroup {
    name: String,
    pub(super) rules: Vec<Alert>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alert {
    pub(super) alert: String,
    pub(super) expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    held: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[test]
fn a_field_that_does_not_exist_or_is_missing_or_has_another_type_is_found() {
    let of = |spec: Value| {
        mistakes(&serde_json::json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {}, "spec": spec}))
    };
    assert_eq!(of(serde_json::json!({"maxUnavailable": "10%"})), [""; 0]);
    assert_eq!(of(serde_json::json!({"maxUnavailble": 1})), [".spec.maxUnavailble is unknown"]);
    assert_eq!(of(serde_json::json!({"selector": {"matchLabels": {"tier": 1}}})).len(), 1);
    let service = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": [{"name": "http"}]}});
    assert_eq!(mistakes(&service), [".spec.ports[0].port is missing"]);
}

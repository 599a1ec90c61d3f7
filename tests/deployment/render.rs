//! The manifests as kustomize renders them, and the pods that they would make.
//!
//! `kubectl` does the rendering, as it does for whoever deploys; nothing here asks a cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is rendered: everything that somebody may apply.
pub(super) const OVERLAYS: [&str; 2] = ["k8s/overlays/dev", "k8s/overlays/production"];

/// The repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand in the workspace").to_owned()
}

/// A file of the repository.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("failed to read {path}: {error}"))
}

/// The objects of one folder.
pub(super) struct Rendered {
    /// The folder, for messages.
    pub(super) from: String,
    pub(super) objects: Vec<Value>,
}

impl Rendered {
    /// Renders a folder of the repository; once, however many tests ask.
    pub(super) fn of(folder: &str) -> Self {
        static RENDERED: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::new(BTreeMap::new());
        // Held while rendering, so that the others wait for what they need anyway. A test that panicked inside left the map whole.
        let mut rendered = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = rendered.entry(folder.to_owned()).or_insert_with(|| Self::at(folder, &root().join(folder)).objects);
        Self { from: folder.to_owned(), objects: objects.clone() }
    }

    /// Renders the base with components on top, as somebody's own overlay would.
    pub(super) fn with_components(components: &[&str]) -> Self {
        let overlay = tempfile::tempdir().expect("a folder");
        let above = "../".repeat(overlay.path().canonicalize().expect("a real path").components().count() - 1);
        let root = root().canonicalize().expect("a real path");
        let reach = |folder: &str| format!("{above}{}", root.join(folder).strip_prefix("/").expect("absolute").display());
        let list: Vec<String> = components.iter().map(|name| format!("\"{}\"", reach(&format!("k8s/components/{name}")))).collect();
        let text = format!("namespace: sluice\nresources: [\"{}\"]\ncomponents: [{}]\n", reach("k8s/base"), list.join(", "));
        std::fs::write(overlay.path().join("kustomization.yaml"), text).expect("written");
        Self::at(&format!("the base with {}", components.join(" and ")), overlay.path())
    }

    fn at(from: &str, folder: &Path) -> Self {
        let ran = Command::new("kubectl").arg("kustomize").arg(folder).output();
        let ran =
            ran.unwrap_or_else(|error| panic!("failed to run kubectl, which renders the manifests: {error}; scripts/test installs it"));
        assert!(ran.status.success(), "{from} does not render: {}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).expect("UTF-8");
        let mut objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{from} is no YAML: {error}"));
        assert!(objects.len() > 15, "{from} has only {} objects", objects.len());
        // Kustomize breaks long base64 into lines, which Kubernetes' decoder skips and ours does not.
        for value in objects.iter_mut().filter(|object| object["kind"] == "Secret").filter_map(|object| object["data"].as_object_mut()) {
            for text in value.values_mut() {
                *text = text.as_str().expect("base64").replace('\n', "").into();
            }
        }
        Self { from: from.to_owned(), objects }
    }

    /// All objects of a kind, as kustomize wrote them.
    pub(super) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// All objects of a kind, with types.
    pub(super) fn typed<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let decode = |object: &Value| serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{}: {error}", name(object)));
        self.all(kind).map(decode).collect()
    }

    /// Whether an object of this kind and name is here.
    pub(super) fn has(&self, kind: &str, wanted: &str) -> bool {
        self.all(kind).any(|object| object["metadata"]["name"] == wanted)
    }

    /// Every kind of pod that these objects would make.
    pub(super) fn pods(&self) -> Vec<Pods> {
        ["Deployment", "StatefulSet", "DaemonSet"].into_iter().flat_map(|kind| self.all(kind).map(Pods::of)).collect()
    }

    /// The pods that run our program.
    pub(super) fn ours(&self) -> Vec<Pods> {
        let ours: Vec<Pods> = self.pods().into_iter().filter(|pods| pods.labels["app.kubernetes.io/name"] == "sluice").collect();
        assert_eq!(ours.len(), 5, "{}: the coordinator and four kinds of worker", self.from);
        ours
    }
}

/// The name of an object, for messages.
pub(super) fn name(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap_or("?"), object["metadata"]["name"].as_str().unwrap_or("?"))
}

/// The pods of one Deployment, StatefulSet or DaemonSet.
pub(super) struct Pods {
    /// Name of the object that makes them.
    pub(super) owner: String,
    /// What the owner selects them by.
    pub(super) selector: Value,
    pub(super) labels: BTreeMap<String, String>,
    /// Volumes that a StatefulSet claims for each pod, by name.
    pub(super) claims: Vec<String>,
    pub(super) spec: PodSpec,
}

impl Pods {
    fn of(object: &Value) -> Self {
        let template: PodTemplateSpec = serde_json::from_value(object["spec"]["template"].clone()).expect("a template");
        let claims = object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        let claims = claims.map(|claim| claim["metadata"]["name"].as_str().expect("a name").to_owned()).collect();
        Self {
            claims,
            owner: object["metadata"]["name"].as_str().expect("a name").to_owned(),
            selector: object["spec"]["selector"].clone(),
            labels: template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default(),
            spec: template.spec.expect("a spec"),
        }
    }

    /// The one container.
    pub(super) fn container(&self) -> &Container {
        assert_eq!(self.spec.containers.len(), 1, "{}", self.owner);
        &self.spec.containers[0]
    }

    /// What the program is started with.
    pub(super) fn args(&self) -> Vec<String> {
        self.container().args.clone().unwrap_or_default()
    }

    /// The value of `--flag=value`.
    pub(super) fn flag(&self, flag: &str) -> Option<String> {
        flag_of(&self.args(), flag)
    }

    /// Whether a label selector (or an equal map of labels) finds these pods.
    pub(super) fn are_selected_by(&self, selector: &Value) -> bool {
        let has = |key: &str, value: &Value| self.labels.get(key).is_some_and(|label| value == label.as_str());
        let labels = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| has(key, value));
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten().all(|expression| {
            assert_eq!(expression["operator"], "In", "{expression}: the only operator that this test knows");
            let key = expression["key"].as_str().expect("a key");
            expression["values"].as_array().expect("values").iter().any(|value| has(key, value))
        });
        labels && expressions
    }
}

/// The value of `--flag=value` among arguments.
pub(super) fn flag_of(args: &[String], flag: &str) -> Option<String> {
    args.iter().find_map(|arg| arg.strip_prefix(flag)?.strip_prefix('=')).map(str::to_owned)
}

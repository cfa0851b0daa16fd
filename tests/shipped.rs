//! What is shipped beside the program and written in its documentation is a right configuration.
#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// Has it checked; where it is from is for the one who reads of a failure.
fn check(origin: &str, text: &str, environment: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millpond"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLPOND__") {
            command.env_remove(name);
        }
    }
    command.args(["check", "--config"]).arg(&path).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{origin}: {said}\n{text}");
}

/// The block of a YAML file that follows a line, without its indentation.
fn block(yaml: &str, head: &str) -> String {
    let (_, rest) = yaml.split_once(head).unwrap();
    let lines = rest.lines().skip(1).take_while(|line| line.starts_with("    "));
    lines.map(|line| format!("{}\n", &line[4..])).collect()
}

#[test]
fn configurations_beside_the_manifests_are_right() {
    check("compose", &read("docker/compose/proxy.toml"), &[]);
    for file in ["docker/kubernetes/sidecar.yaml", "docker/kubernetes/standalone.yaml"] {
        let config = block(&read(file), "  proxy.toml: |");
        assert!(config.contains("[services."), "{file}: {config}");
        // What the container's environment brings.
        let token = ("MILLPOND__ADMIN__READ_TOKEN", "token");
        let named = read(file).contains(token.0);
        check(file, &config, if named { std::slice::from_ref(&token) } else { &[] });
    }
}

#[test]
fn the_environment_of_the_task_is_a_whole_configuration() {
    let file = "docker/aws/ecs-task.json";
    let task: serde_json::Value = serde_json::from_str(&read(file)).unwrap();
    let millpond = &task["containerDefinitions"][0];
    let variables = millpond["environment"].as_array().unwrap().iter();
    let variables: Vec<_> = variables
        .map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap()))
        .collect();
    check(file, "", &variables);
}

/// Those that are whole: some show only the keys that the text is about.
#[test]
fn configurations_in_the_documentation_are_right() {
    let mut checked = 0;
    let mut files = vec![repository("README.md")];
    files.extend(fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let fenced = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let written = text.split("<<'END'\n").skip(1).filter_map(|rest| rest.split("END\n").next());
        for config in fenced.chain(written) {
            let whole = ["[services.", "listen", ".users.", "endpoints"];
            if whole.iter().all(|part| config.contains(part)) {
                check(&file.display().to_string(), config, &[]);
                checked += 1;
            }
        }
    }
    assert!(checked >= 2, "only {checked} were found");
}

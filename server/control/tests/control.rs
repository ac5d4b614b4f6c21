//! Both sides of the socket.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use facteur_control::{Answers, AskError, Refused, Server, Verbs, ask, ask_here, path, serve};
use serde_json::{Value, json};

fn verbs() -> Verbs {
    Verbs::default()
        .with("count", async |to: u64, answers: Answers| {
            for n in 1..=to {
                answers.item(&n).await?;
            }
            Ok(json!({ "counted": to }))
        })
        .with("refuse", async |(): (), _| {
            Err(Refused("not today".to_owned()))
        })
        .with("wait", async |(): (), answers: Answers| {
            answers.progress(1, 2, "half");
            std::future::pending::<()>().await;
            Ok(Value::Null)
        })
}

struct World {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    server: Server,
}

impl World {
    fn new() -> Self {
        Self::below("")
    }

    fn below(deep: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(deep);
        std::fs::create_dir_all(&state).unwrap();
        let socket = path(&state);
        let server = serve(&socket, verbs()).unwrap();
        Self {
            _folder: folder,
            socket,
            server,
        }
    }

    async fn ask(
        &self,
        verb: &'static str,
        arguments: Value,
    ) -> (Vec<Value>, Result<Value, String>) {
        let socket = self.socket.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let mut items = Vec::new();
            let answer = ask(
                &socket,
                verb,
                &arguments,
                &mut |item| {
                    items.push(item);
                    Ok(())
                },
                &mut |_| {},
            );
            let answer = match answer {
                Ok(value) => Ok(value.expect("a server listens")),
                Err(AskError::Failed(why)) => Err(why),
                Err(AskError::Io(error)) => panic!("{error}"),
            };
            (items, answer)
        });
        asked.await.unwrap()
    }

    /// Says these bytes and returns each line of what comes back.
    async fn raw(&self, bytes: impl Into<Vec<u8>>) -> Vec<String> {
        let (socket, bytes) = (self.socket.clone(), bytes.into());
        let said = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            // It may be refused before all of it is read.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .collect()
        });
        said.await.unwrap()
    }
}

#[tokio::test]
async fn items_come_in_order_and_the_end_comes_last() {
    let world = World::new();
    let (items, end) = world.ask("count", json!(1000)).await;
    assert_eq!(items, (1..=1000).map(Value::from).collect::<Vec<_>>());
    assert_eq!(end, Ok(json!({ "counted": 1000 })));
    let (items, end) = world.ask("refuse", Value::Null).await;
    assert_eq!((items, end), (vec![], Err("not today".to_owned())));
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let world = World::new();
    let said = world
        .raw(
            "{\"version\":1,\"verb\":\"count\",\"arguments\":1}\n\
             {\"version\":1,\"verb\":\"refuse\"}\n",
        )
        .await;
    assert_eq!(
        said,
        [
            "{\"item\":1}",
            "{\"done\":{\"counted\":1}}",
            "{\"failed\":\"not today\"}"
        ]
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_the_reason() {
    let world = World::new();
    for (line, reason) in [
        ("{\"verb\":\"count\"}\n", "request not understood"),
        ("count\n", "request not understood"),
        (
            "{\"version\":2,\"verb\":\"count\",\"arguments\":1}\n",
            "not 2",
        ),
        (
            "{\"version\":1,\"verb\":\"burn\"}\n",
            "does not know \\\"burn\\\"",
        ),
        (
            "{\"version\":1,\"verb\":\"count\",\"arguments\":\"x\"}\n",
            "arguments of count not understood",
        ),
    ] {
        let said = world.raw(line).await;
        assert_eq!(said.len(), 1, "{line} {said:?}");
        assert!(said[0].starts_with("{\"failed\":"), "{said:?}");
        assert!(said[0].contains(reason), "{said:?}");
    }
}

#[tokio::test]
async fn line_without_end_is_refused_once_and_ends_the_connection() {
    let world = World::new();
    let mut endless = vec![b'x'; 70_000];
    endless.extend_from_slice(b"\n{\"version\":1,\"verb\":\"count\",\"arguments\":1}\n");
    let said = world.raw(endless).await;
    assert!(said.len() <= 1, "{said:?}");
    assert!(said.iter().all(|line| line.contains("not understood")));
}

#[tokio::test]
async fn socket_is_its_owners_alone_and_takes_the_place_of_a_stale_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = path(folder.path());
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(nobody(&socket));
    let server = serve(&socket, verbs()).unwrap();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.stop().await;
    assert!(nobody(&socket));
}

/// Only for a socket nobody listens on: it blocks.
fn nobody(socket: &Path) -> bool {
    let asked = ask(socket, "count", &1, &mut |_| Ok(()), &mut |_| {});
    asked.unwrap().is_none()
}

#[tokio::test]
async fn socket_may_lie_deeper_than_its_address_is_long() {
    let world = World::below(&"deep/".repeat(40));
    assert!(world.socket.as_os_str().len() > 200);
    assert_eq!(world.ask("count", json!(1)).await.0, [json!(1)]);
}

#[tokio::test]
async fn stop_ends_what_is_under_way_and_says_so() {
    let world = World::new();
    let socket = world.socket.clone();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let asked = tokio::task::spawn_blocking(move || {
        ask(&socket, "wait", &(), &mut |_| Ok(()), &mut |progress| {
            assert_eq!((progress.done, progress.total), (1, 2));
            if let Some(begun) = begun.take() {
                begun.send(()).unwrap();
            }
        })
    });
    has_begun.await.unwrap();
    world.server.stop().await;
    let Err(AskError::Failed(why)) = asked.await.unwrap() else {
        panic!("it was not refused");
    };
    assert_eq!(why, "the server stops");
}

#[tokio::test]
async fn asker_that_goes_away_harms_nobody() {
    let world = World::new();
    for _ in 0..100 {
        let socket = world.socket.clone();
        let gone = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream
                .write_all(b"{\"version\":1,\"verb\":\"count\",\"arguments\":100000000}\n")
                .unwrap();
        });
        gone.await.unwrap();
    }
    assert_eq!(world.ask("count", json!(1)).await.0, [json!(1)]);
}

#[tokio::test]
async fn without_a_server_the_same_verbs_answer_here() {
    let mut items = Vec::new();
    let mut item = |value| {
        items.push(value);
        Ok(())
    };
    let done = ask_here(&verbs(), "count", &200, &mut item, &mut |_| {}).await;
    assert_eq!(done.unwrap(), json!({ "counted": 200 }));
    assert_eq!(items.len(), 200);
    let refused = ask_here(&verbs(), "refuse", &(), &mut |_| Ok(()), &mut |_| {}).await;
    assert_eq!(refused.unwrap_err().to_string(), "not today");
    // A closed pipe, say: the verb ends too.
    let mut broken = |_| Err(std::io::ErrorKind::BrokenPipe.into());
    let ended = ask_here(&verbs(), "count", &100_000_000, &mut broken, &mut |_| {}).await;
    assert!(matches!(ended, Err(AskError::Io(_))), "{ended:?}");
}

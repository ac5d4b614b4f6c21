//! The operator's socket.

use std::{os::unix::fs::PermissionsExt, path::Path};

use facteur_queue::control::{self, Answer, Request};

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, MESSAGE, START, World},
};

async fn ask(path: &Path, request: Request) -> Vec<Answer> {
    let path = path.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let mut answers = Vec::new();
        let found = control::ask(&path, &request, &mut |answer| answers.push(answer)).unwrap();
        found.map(|()| answers)
    });
    asked.await.unwrap().expect("a server listens")
}

#[tokio::test]
async fn operator_lists_shows_holds_releases_and_deletes() {
    let (mut world, mut peer) = (World::new(), Peer::start(Manner::default()).await);
    let mut later = world.entry(&["b@far.test"], MESSAGE);
    later.next_attempt_at = START + 1000;
    let mut doomed = world.entry(&["c@far.test"], MESSAGE);
    doomed.next_attempt_at = START + 1000;
    world.commit(&later, MESSAGE);
    world.commit(&doomed, MESSAGE);
    let queue = world.queue(world.relaying_to(&peer));
    let path = control::socket_path(world.dir.path());
    control::serve(&queue, &path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );

    assert_eq!(ask(&path, Request::List).await.len(), 3);
    let id = later.queue_id.to_string();
    let shown = ask(&path, Request::Show { id: id.clone() }).await;
    assert_eq!(
        shown,
        [Answer::Entry(Box::new(later.clone())), Answer::Done]
    );

    assert_eq!(
        ask(
            &path,
            Request::Delete {
                id: doomed.queue_id.to_string()
            }
        )
        .await,
        [Answer::Done]
    );
    let gone = ask(
        &path,
        Request::Show {
            id: doomed.queue_id.to_string(),
        },
    )
    .await;
    assert!(matches!(gone.as_slice(), [Answer::Failed(_)]));
    assert!(matches!(
        ask(&path, Request::Hold { id: "../x".into() }).await[..],
        [Answer::Failed(_)]
    ));

    assert_eq!(
        ask(&path, Request::Hold { id: id.clone() }).await,
        [Answer::Done]
    );
    assert!(world.store.spool().entry(&later.queue_id).unwrap().held);
    let flush = Request::Flush {
        id: Some(id.clone()),
    };
    assert!(matches!(ask(&path, flush).await[..], [Answer::Failed(_)]));
    assert_eq!(ask(&path, Request::Release { id }).await, [Answer::Done]);
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[tokio::test]
async fn request_that_is_none_is_answered_with_an_error() {
    let (mut world, peer) = (World::new(), Peer::start(Manner::default()).await);
    let queue = world.queue(world.relaying_to(&peer));
    let path = control::socket_path(world.dir.path());
    control::serve(&queue, &path).unwrap();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"{\"verb\":\"burn\"}\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer)
        .await
        .unwrap();
    assert_eq!(answer, "{\"failed\":\"request not understood\"}\n");
    queue.stop(GRACE).await;
}

#[test]
fn without_a_server_the_spool_itself_is_changed() {
    let world = World::new();
    let id = world.send(&["b@far.test"]).to_string();
    let socket = control::socket_path(world.dir.path());
    let none = control::ask(&socket, &Request::List, &mut |_| panic!("nobody listens")).unwrap();
    assert!(none.is_none());
    let run = |request| {
        let mut answers = Vec::new();
        control::carry_out_offline(world.store.spool(), &request, &mut |a| answers.push(a));
        answers
    };
    assert_eq!(run(Request::Hold { id: id.clone() }), [Answer::Done]);
    assert!(world.spooled()[0].held);
    let flush = || Request::Flush {
        id: Some(id.clone()),
    };
    // It would do nothing.
    assert!(matches!(run(flush())[..], [Answer::Failed(_)]));
    assert_eq!(run(Request::Release { id: id.clone() }), [Answer::Done]);
    assert_eq!(run(Request::Flush { id: None }), [Answer::Done]);
    assert_eq!(
        (world.spooled()[0].held, world.spooled()[0].next_attempt_at),
        (false, 0)
    );
    assert_eq!(run(Request::List).len(), 2);
    assert_eq!(run(Request::Delete { id: id.clone() }), [Answer::Done]);
    assert!(matches!(
        run(Request::Delete { id })[..],
        [Answer::Failed(_)]
    ));
}

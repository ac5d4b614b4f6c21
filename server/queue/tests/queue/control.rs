//! The operator's socket.

use facteur_control::{AskError, Server, Verbs};
use facteur_queue::{
    Queue,
    control::{self, Request},
};
use facteur_spool::Entry;

use crate::{
    peer::{Manner, Peer},
    world::{GRACE, MESSAGE, START, World},
};

/// What was asked for, or why not.
type Answer = Result<Vec<Entry>, String>;

fn serve(world: &World, queue: &Queue) -> Server {
    let queue = queue.clone();
    let verbs = Verbs::default().with(control::VERB, move |request, answers| {
        control::carry_out(queue.clone(), request, answers)
    });
    facteur_control::serve(&facteur_control::path(world.dir.path()), verbs).unwrap()
}

async fn ask(world: &World, request: Request) -> Answer {
    let path = facteur_control::path(world.dir.path());
    let asked = tokio::task::spawn_blocking(move || {
        let mut entries = Vec::new();
        let mut item = |value| {
            entries.push(serde_json::from_value(value)?);
            Ok(())
        };
        match facteur_control::ask(&path, control::VERB, &request, &mut item, &mut |_| {}) {
            Ok(value) => value.map(|_| Ok(entries)),
            Err(AskError::Failed(why)) => Some(Err(why)),
            Err(AskError::Io(error)) => panic!("{error}"),
        }
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
    let server = serve(&world, &queue);

    assert_eq!(ask(&world, Request::List).await.unwrap().len(), 2);
    let id = later.queue_id.to_string();
    let shown = ask(&world, Request::Show { id: id.clone() }).await;
    assert_eq!(shown, Ok(vec![later.clone()]));

    assert_eq!(
        ask(
            &world,
            Request::Delete {
                id: doomed.queue_id.to_string()
            }
        )
        .await,
        Ok(vec![])
    );
    let gone = ask(
        &world,
        Request::Show {
            id: doomed.queue_id.to_string(),
        },
    )
    .await;
    assert!(gone.is_err());
    let outside = Request::Hold { id: "../x".into() };
    assert!(ask(&world, outside).await.is_err());

    assert_eq!(
        ask(&world, Request::Hold { id: id.clone() }).await,
        Ok(vec![])
    );
    assert!(world.store.spool().entry(&later.queue_id).unwrap().held);
    let flush = Request::Flush {
        id: Some(id.clone()),
    };
    assert!(ask(&world, flush).await.is_err());
    assert_eq!(ask(&world, Request::Release { id }).await, Ok(vec![]));
    assert_eq!(peer.next().await.rcpts, ["RCPT TO:<b@far.test>"]);
    server.stop().await;
    queue.stop(GRACE).await;
    assert_eq!(world.spooled(), []);
}

#[test]
fn without_a_server_the_spool_itself_is_changed() {
    let world = World::new();
    let id = world.send(&["b@far.test"]).to_string();
    let run = |request| -> Answer {
        let mut entries = Vec::new();
        control::carry_out_offline(world.store.spool(), &request, &mut |e| entries.push(e))
            .map(|()| entries)
            .map_err(|refused| refused.0)
    };
    assert_eq!(run(Request::Hold { id: id.clone() }), Ok(vec![]));
    assert!(world.spooled()[0].held);
    let flush = || Request::Flush {
        id: Some(id.clone()),
    };
    // It would do nothing.
    assert!(run(flush()).is_err());
    assert_eq!(run(Request::Release { id: id.clone() }), Ok(vec![]));
    assert_eq!(run(Request::Flush { id: None }), Ok(vec![]));
    assert_eq!(
        (world.spooled()[0].held, world.spooled()[0].next_attempt_at),
        (false, 0)
    );
    assert_eq!(run(Request::List).unwrap().len(), 1);
    assert_eq!(run(Request::Delete { id: id.clone() }), Ok(vec![]));
    assert!(run(Request::Delete { id }).is_err());
}

use kube::core::response::StatusSummary;

use super::*;

fn status(code: u16, reason: &str, message: &str) -> Box<Status> {
    Box::new(Status {
        status: Some(StatusSummary::Failure),
        code,
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..Status::default()
    })
}

fn refused() -> io::Error {
    io::Error::from_raw_os_error(111)
}

/// An error within an error, as clients have them.
#[derive(Debug, thiserror::Error)]
#[error("client error (Connect)")]
struct Connect(#[source] io::Error);

#[test]
fn a_peer_that_is_gone_has_closed_the_connection() {
    let tls =
        io::Error::new(io::ErrorKind::UnexpectedEof, "peer closed connection without sending close_notify: https://x");
    assert_eq!(cause(&Connect(tls)), "Connection closed");
    assert_eq!(cause(&Connect(refused())), "Connection refused (os error 111)");
}

#[test]
fn each_change_is_said_once() {
    let ReachLayer(reach) = ReachLayer::new("https://api:6443/".to_owned());
    let away = || Err("Connection refused (os error 111)".to_owned());
    assert_eq!(reach.change(Ok(())), None);
    assert_eq!(reach.change(away()), Some(Transition::Away("Connection refused (os error 111)".to_owned())));
    for _ in 0..100 {
        assert_eq!(reach.change(away()), None);
    }
    assert_eq!(reach.change(Err("another cause".to_owned())), None);
    assert!(matches!(reach.change(Ok(())), Some(Transition::Back(_))));
    assert_eq!(reach.change(Ok(())), None);
    assert!(matches!(reach.change(away()), Some(Transition::Away(_))));
}

#[tokio::test]
async fn answers_pass_as_they_are_and_are_looked_at() {
    let layer = ReachLayer::new("https://api:6443/".to_owned());
    let is_away = || layer.0.away_since.lock().unwrap().is_some();
    let ask = async |answer: Result<u16, io::Error>| {
        let service = tower::service_fn(move |(): ()| {
            let answer = match &answer {
                Ok(code) => Ok(Response::builder().status(*code).body(()).unwrap()),
                Err(error) => Err(BoxError::from(Connect(io::Error::from(error.kind())))),
            };
            async move { answer }
        });
        layer
            .layer(service)
            .call(())
            .await
            .map(|response| response.status().as_u16())
            .map_err(|error| error.to_string())
    };
    for code in [200, 404, 403, 409, 500] {
        assert_eq!(ask(Ok(code)).await, Ok(code));
        assert!(!is_away(), "{code} is an answer");
    }
    assert_eq!(ask(Err(refused())).await, Err("client error (Connect)".to_owned()));
    assert!(is_away());
    assert_eq!(ask(Ok(403)).await, Ok(403));
    assert!(!is_away(), "a refusal is an answer, too");
    for code in [502, 503, 504] {
        assert_eq!(ask(Ok(code)).await, Ok(code));
        assert!(is_away(), "{code} comes from what stands before it");
        assert_eq!(ask(Ok(200)).await, Ok(200));
    }
}

#[test]
fn errors_are_sentences() {
    let forbidden = "pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\"";
    for (error, sentence) in [
        (Error::Api(status(403, "Forbidden", forbidden)), format!("{forbidden} (403 Forbidden)")),
        (Error::Api(status(409, "Conflict", "")), "Conflict (409 Conflict)".to_owned()),
        (Error::Api(status(500, "", "")), "the API server answers 500 Internal Server Error".to_owned()),
        (Error::Api(status(599, "", "odd")), "odd (599)".to_owned()),
        (
            Error::Service(BoxError::from(Connect(refused()))),
            "the API server does not answer: Connection refused (os error 111)".to_owned(),
        ),
        (Error::ReadEvents(refused()), "the API server does not answer: Connection refused (os error 111)".to_owned()),
        (
            Error::SerdeError(serde_json::from_str::<u8>("x").unwrap_err()),
            "the API server's answer cannot be read: expected value at line 1 column 1".to_owned(),
        ),
    ] {
        assert_eq!(Sentence(&error).to_string(), sentence);
        assert!(!sentence.contains("Status {") && !sentence.contains("ApiError"), "{sentence}");
    }
    let forged = Error::Api(status(400, "", "a\n\u{1b}[2Jb"));
    assert!(!Sentence(&forged).to_string().chars().any(char::is_control));
}

#[test]
fn a_watch_is_interrupted_with_a_line_only_for_what_the_client_has_not_said() {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};

    let away = || Error::Service(BoxError::from(Connect(refused())));
    let forbidden = || status(403, "Forbidden", "pods is forbidden");
    for (error, line) in [
        (InitialListFailed(away()), None),
        (WatchStartFailed(away()), None),
        (WatchFailed(Error::ReadEvents(refused())), None),
        (WatchError(status(410, "Expired", "too old resource version")), None),
        (InitialListFailed(Error::Api(status(503, "", ""))), None),
        (InitialListFailed(Error::Api(forbidden())), Some("pods is forbidden (403 Forbidden)")),
        (WatchError(forbidden()), Some("pods is forbidden (403 Forbidden)")),
        (NoResourceVersion, Some("the API server's list has no version")),
    ] {
        assert_eq!(interruption(&error).as_deref(), line, "{error:?}");
    }
}

#[test]
fn trouble_is_news_when_it_begins_changes_and_ends() {
    let mut trouble = Trouble::default();
    assert!(!trouble.is_over());
    assert!(trouble.is_news("a") && !trouble.is_news("a") && trouble.is_news("b") && trouble.is_news("a"));
    assert!(trouble.is_over() && !trouble.is_over());
    assert!(trouble.is_news("a"));
}

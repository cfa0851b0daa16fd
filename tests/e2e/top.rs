//! `millpond top` and `millpond status`: what they show of a Millpond that has something to do.

use crate::support::accounts::APP;
use crate::support::millpond::{Millpond, Settings};
use crate::support::servers;
use millpond::admin::door::{Door, Keys};
use millpond::admin::health;
use millpond::admin::top::Screen;
use mysql_async::prelude::Queryable;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// What a terminal of this size has on it.
fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_terminal_and_a_shell_see_what_the_status_says() {
    servers::both_async(async |server| {
        let millpond = Millpond::start(server, &Settings::with_pool_of(7));
        let address = ([127, 0, 0, 1], millpond.admin_port).into();
        let door = Door::at(address, Keys::default()).unwrap();
        let mut client = millpond.connect(&APP, Some("app")).await.unwrap();
        client.query_drop("BEGIN").await.unwrap();
        client.query_drop("SELECT 1 FROM information_schema.tables LIMIT 1").await.unwrap();

        let mut screen = Screen::default();
        let before = health::status(&door).unwrap();
        for _ in 0..100 {
            client.query_drop("SELECT 1").await.unwrap();
        }
        // What the pools have is counted once a second.
        let mut now = health::status(&door).unwrap();
        for _ in 0..200 {
            if now["services"]["test"]["backend_connections_allowed"][0]["value"] == 7.0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            now = health::status(&door).unwrap();
        }
        screen.take(before, 1.0);
        screen.take(now.clone(), 1.0);
        let shown = drawn(&screen, 140, 40);
        let address = format!("127.0.0.1:{}", server.port);
        for seen in
            ["Millpond", "ready", " test ", "of 7", "1 now", "transaction", "writer", &address]
        {
            assert!(shown.contains(seen), "no {seen:?} in\n{shown}");
        }
        assert!(shown.contains("100 commands/s") || shown.contains("101 commands/s"), "{shown}");
        assert!(shown.contains("What happened") && shown.contains("to writer"), "{shown}");
        // However small it is, it has a screen.
        for (width, height) in [(1, 1), (20, 5), (80, 24), (400, 100)] {
            drawn(&screen, width, height);
        }

        let text = health::status_text(&now);
        for seen in ["test\n", "pinned       1 transaction", "writer, answers", "event "] {
            assert!(text.contains(seen), "no {seen:?} in\n{text}");
        }
        client.query_drop("COMMIT").await.unwrap();
    });
}

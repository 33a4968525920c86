// Runs named scenarios with the official Rust gRPC client and prints one line of JSON for each.
//
// Arguments: endpoint, comma separated names (or "all"), a prefix unique to this run, "tls" or "plain".
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rocketmq::conf::{ClientOption, ProducerOption, SimpleConsumerOption};
use rocketmq::model::common::{FilterExpression, FilterType};
use rocketmq::model::message::{MessageBuilder, MessageView};
use rocketmq::model::transaction::{Transaction, TransactionResolution};
use rocketmq::{Producer, SimpleConsumer};

type Outcome = Result<(), String>;
type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Scenario = fn(Stage) -> Running;

const NAMES: [&str; 10] = [
    "transaction_orphan", "redelivery", "normal", "batch", "fifo", "delay", "transaction", "filter_tag", "filter_sql92",
    "bad_topic",
];

fn scenario(name: &str) -> Option<Scenario> {
    Some(match name {
        "normal" => |stage| Box::pin(normal(stage)),
        "batch" => |stage| Box::pin(batch(stage)),
        "fifo" => |stage| Box::pin(fifo(stage)),
        "delay" => |stage| Box::pin(delay(stage)),
        "transaction" => |stage| Box::pin(transaction(stage)),
        "transaction_orphan" => |stage| Box::pin(orphan(stage)),
        "redelivery" => |stage| Box::pin(redelivery(stage)),
        "filter_tag" => |stage| Box::pin(filter_tag(stage)),
        "filter_sql92" => |stage| Box::pin(filter_sql92(stage)),
        "bad_topic" => |stage| Box::pin(bad_topic(stage)),
        _ => return None,
    })
}

fn check(kept: bool, promise: impl Into<String>) -> Outcome {
    if kept { Ok(()) } else { Err(promise.into()) }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// What one scenario works with.
#[derive(Clone)]
struct Stage {
    endpoint: String,
    topic: String,
    tls: bool,
}

impl Stage {
    fn options(&self, wait: u64) -> ClientOption {
        let mut options = ClientOption::default();
        options.set_access_url(self.endpoint.clone());
        options.set_enable_tls(self.tls);
        options.set_timeout(Duration::from_secs(10));
        options.set_long_polling_timeout(Duration::from_secs(wait));
        options
    }

    fn publishing(&self) -> ProducerOption {
        let mut options = ProducerOption::default();
        options.set_topics(vec![self.topic.clone()]);
        options
    }

    async fn producer(&self) -> Result<Producer, String> {
        let mut made = Producer::new(self.publishing(), self.options(5)).map_err(text)?;
        made.start().await.map_err(text)?;
        Ok(made)
    }

    /// One whose answers about half messages are all the same; `asked` counts them.
    async fn transactional(&self, commits: bool, asked: Arc<AtomicUsize>) -> Result<Producer, String> {
        let checker = move |_, _: MessageView| {
            asked.fetch_add(1, Ordering::SeqCst);
            if commits { TransactionResolution::COMMIT } else { TransactionResolution::UNKNOWN }
        };
        let mut made =
            Producer::new_transaction_producer(self.publishing(), self.options(5), Box::new(checker)).map_err(text)?;
        made.start().await.map_err(text)?;
        Ok(made)
    }

    async fn consumer(&self, wait: u64) -> Result<SimpleConsumer, String> {
        let mut options = SimpleConsumerOption::default();
        options.set_consumer_group(format!("{}_group", self.topic));
        options.set_topics(vec![self.topic.clone()]);
        let mut made = SimpleConsumer::new(options, self.options(wait)).map_err(text)?;
        made.start().await.map_err(text)?;
        Ok(made)
    }

    fn message(&self, body: &str) -> MessageBuilder {
        MessageBuilder::builder().set_topic(self.topic.clone()).set_body(body.as_bytes().to_vec())
    }

    /// Receives until `count` messages are there or the time is over.
    async fn receive(
        &self, consumer: &SimpleConsumer, count: usize, seconds: u64, filter: &FilterExpression, ack: bool,
    ) -> Result<Vec<MessageView>, String> {
        let mut found = Vec::new();
        let end = Instant::now() + Duration::from_secs(seconds);
        while found.len() < count && Instant::now() < end {
            // Its deadline is the polling time itself: the answer that nothing has come is there before.
            let views = consumer.receive_with(&self.topic, filter, 16, Duration::from_secs(10)).await.map_err(text)?;
            for view in views {
                if ack {
                    consumer.ack(&view).await.map_err(text)?;
                }
                found.push(view);
            }
        }
        Ok(found)
    }

    async fn drain(&self, consumer: &SimpleConsumer, count: usize, seconds: u64) -> Result<Vec<MessageView>, String> {
        self.receive(consumer, count, seconds, &all(), true).await
    }
}

fn all() -> FilterExpression {
    FilterExpression::new(FilterType::Tag, "*")
}

fn bodies(views: &[MessageView]) -> Vec<String> {
    views.iter().map(|view| String::from_utf8_lossy(view.body()).into_owned()).collect()
}

fn expect(views: &[MessageView], wanted: &[&str]) -> Outcome {
    let mut found = bodies(views);
    found.sort();
    check(found == wanted, format!("received {found:?}, expected {wanted:?}"))
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or(0.0)
}

async fn normal(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(5).await?;
    let mut sent = Vec::new();
    for number in 0..20 {
        let message = stage
            .message(&format!("grüße {number}"))
            .set_tag("A")
            .set_keys(vec!["k1", "k2"])
            .set_properties(HashMap::from([("color", "blue"), ("名", "值")]))
            .build()
            .map_err(text)?;
        sent.push(producer.send(message).await.map_err(text)?.message_id().to_string());
    }
    let views = stage.drain(&consumer, 20, 20).await?;
    let mut received: Vec<String> = views.iter().map(|view| view.message_id().to_string()).collect();
    received.sort();
    sent.sort();
    check(sent == received, format!("sent {sent:?}, received {received:?}"))?;
    for view in &views {
        let properties = view.properties();
        check(
            view.tag() == Some("A")
                && view.keys() == ["k1", "k2"]
                && properties.get("color").map(String::as_str) == Some("blue")
                && properties.get("名").map(String::as_str) == Some("值")
                && view.topic() == stage.topic
                && view.delivery_attempt() == 1,
            format!("another message came: {view:?}"),
        )?;
    }
    // Who says goodbye may come again.
    producer.shutdown().await.map_err(text)?;
    consumer.shutdown().await.map_err(text)?;
    let again = stage.producer().await?;
    again.send(stage.message("again").build().map_err(text)?).await.map_err(text)?;
    Ok(())
}

async fn batch(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(5).await?;
    let mut messages = Vec::new();
    for number in 0..8 {
        messages.push(stage.message(&number.to_string()).build().map_err(text)?);
    }
    let receipts = producer.batch_send(messages).await.map_err(text)?;
    check(receipts.len() == 8, format!("{} receipts for 8 messages", receipts.len()))?;
    expect(&stage.drain(&consumer, 8, 20).await?, &["0", "1", "2", "3", "4", "5", "6", "7"])
}

async fn fifo(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(5).await?;
    for number in 0..12 {
        let message = stage.message(&number.to_string()).set_message_group(format!("g{}", number % 2));
        producer.send(message.build().map_err(text)?).await.map_err(text)?;
    }
    let views = stage.drain(&consumer, 12, 20).await?;
    for group in ["g0", "g1"] {
        let numbers: Vec<u32> = views
            .iter()
            .filter(|view| view.message_group() == Some(group))
            .filter_map(|view| String::from_utf8_lossy(view.body()).parse().ok())
            .collect();
        check(numbers.len() == 6 && numbers.is_sorted(), format!("{group} came as {numbers:?}"))?;
    }
    check(views.len() == 12, format!("received {:?}", bodies(&views)))
}

async fn delay(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(8).await?;
    let due = seconds_now() as i64 + 4;
    let message = stage.message("later").set_delivery_timestamp(due).build().map_err(text)?;
    producer.send(message).await.map_err(text)?;
    let views = stage.drain(&consumer, 1, 15).await?;
    expect(&views, &["later"])?;
    let late = seconds_now() - due as f64;
    check((-0.01..3.0).contains(&late), format!("came {late} s after its time"))?;
    check(views[0].delivery_timestamp() == Some(due), format!("delivery time {:?}", views[0].delivery_timestamp()))
}

async fn transaction(stage: Stage) -> Outcome {
    let producer = stage.transactional(false, Arc::default()).await?;
    let consumer = stage.consumer(3).await?;
    let begin = |body: &'static str| {
        MessageBuilder::transaction_message_builder(stage.topic.clone(), body.as_bytes().to_vec()).build()
    };
    let committed = producer.send_transaction_message(begin("committed").map_err(text)?).await.map_err(text)?;
    let rolled_back = producer.send_transaction_message(begin("rolled back").map_err(text)?).await.map_err(text)?;
    let views = stage.drain(&consumer, 1, 2).await?;
    check(views.is_empty(), format!("a half message is visible: {:?}", bodies(&views)))?;
    rolled_back.rollback().await.map_err(text)?;
    committed.commit().await.map_err(text)?;
    expect(&stage.drain(&consumer, 2, 7).await?, &["committed"])
}

async fn orphan(stage: Stage) -> Outcome {
    let asked = Arc::new(AtomicUsize::new(0));
    let producer = stage.transactional(true, asked.clone()).await?;
    let consumer = stage.consumer(5).await?;
    let message =
        MessageBuilder::transaction_message_builder(stage.topic.clone(), b"orphan".to_vec()).build().map_err(text)?;
    let _left = producer.send_transaction_message(message).await.map_err(text)?;
    expect(&stage.drain(&consumer, 1, 50).await?, &["orphan"])?;
    check(asked.load(Ordering::SeqCst) > 0, "the producer was never asked")
}

async fn redelivery(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(15).await?;
    producer.send(stage.message("twice").build().map_err(text)?).await.map_err(text)?;
    let began = Instant::now();
    let first = stage.receive(&consumer, 1, 20, &all(), false).await?;
    expect(&first, &["twice"])?;
    let second = stage.receive(&consumer, 1, 30, &all(), false).await?;
    expect(&second, &["twice"])?;
    check(began.elapsed() >= Duration::from_millis(9900), format!("came again after {:?}", began.elapsed()))?;
    check(second[0].delivery_attempt() == 2, format!("attempt {}", second[0].delivery_attempt()))?;
    check(second[0].message_id() == first[0].message_id(), "another message came")?;
    let expired = consumer.ack(&first[0]).await;
    check(
        expired.as_ref().is_err_and(|error| text(error).contains("INVALID_RECEIPT_HANDLE")),
        format!("the handle of the first delivery: {expired:?}"),
    )?;
    consumer.ack(&second[0]).await.map_err(text)
}

async fn filter_tag(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(3).await?;
    for tag in ["A", "B", "C"] {
        producer.send(stage.message(tag).set_tag(tag).build().map_err(text)?).await.map_err(text)?;
    }
    let filter = FilterExpression::new(FilterType::Tag, "A || C");
    expect(&stage.receive(&consumer, 3, 6, &filter, true).await?, &["A", "C"])
}

async fn filter_sql92(stage: Stage) -> Outcome {
    let producer = stage.producer().await?;
    let consumer = stage.consumer(3).await?;
    for price in ["9", "11"] {
        let message = stage.message(price).set_properties(HashMap::from([("price", price), ("color", "red")]));
        producer.send(message.build().map_err(text)?).await.map_err(text)?;
    }
    let filter = FilterExpression::new(FilterType::Sql, "price > 10 AND color IN ('red')");
    expect(&stage.receive(&consumer, 2, 6, &filter, true).await?, &["11"])?;
    let broken = FilterExpression::new(FilterType::Sql, "price >");
    let refused = stage.receive(&consumer, 1, 1, &broken, true).await;
    check(
        refused.as_ref().is_err_and(|error| error.contains("ILLEGAL_FILTER_EXPRESSION")),
        format!("a broken filter: {:?}", refused.map(|views| bodies(&views))),
    )
}

async fn bad_topic(stage: Stage) -> Outcome {
    let mut options = ProducerOption::default();
    options.set_topics(vec!["no such/topic"]);
    let mut producer = Producer::new(options, stage.options(5)).map_err(text)?;
    let refused = producer.start().await;
    check(refused.as_ref().is_err_and(|error| text(error).contains("illegal characters")), format!("{refused:?}"))
}

fn quoted(text: &str) -> String {
    let mut found = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => found.extend(['\\', letter]),
            letter if (letter as u32) < 32 => found.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => found.push(letter),
        }
    }
    found + "\""
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let names: Vec<String> = match arguments[2].as_str() {
        "all" => NAMES.map(String::from).to_vec(),
        chosen => chosen.split(',').map(String::from).collect(),
    };
    let mut running = Vec::new();
    for name in names {
        let run = scenario(&name).unwrap_or_else(|| panic!("no scenario {name}"));
        let stage = Stage {
            endpoint: arguments[1].clone(),
            topic: format!("{}_{name}", arguments[3]),
            tls: arguments[4] == "tls",
        };
        running.push(tokio::spawn(async move {
            let began = Instant::now();
            let outcome = match tokio::spawn(run(stage)).await {
                Ok(outcome) => outcome,
                Err(panic) => Err(format!("{panic}")),
            };
            let (word, message) = match &outcome {
                Ok(()) => ("ok", ""),
                Err(message) => ("failed", message.as_str()),
            };
            let (seconds, message) = (began.elapsed().as_secs_f64(), quoted(message));
            println!(r#"{{"name":"{name}","outcome":"{word}","seconds":{seconds:.3},"message":{message}}}"#);
        }));
    }
    for one in running {
        let _ = one.await;
    }
}

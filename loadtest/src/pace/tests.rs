use std::time::Duration;

use super::*;

#[tokio::test]
async fn an_alarm_never_comes_early() {
    let alarm = Alarm::new().unwrap();
    for us in [0, 50, 700, 1_500] {
        let due = Instant::now() + Duration::from_micros(us);
        alarm.until(due).await;
        assert!(Instant::now() >= due);
    }
    alarm.until(Instant::now() - Duration::from_secs(1)).await;
}

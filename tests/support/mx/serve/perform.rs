//! Acts, performed on the wire.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{Conversation, Gone};
use crate::support::mx::script::{Act, Answer, reply};

/// How long a closing MX lets the peer read its last words.
const LINGER: Duration = Duration::from_secs(2);

impl Conversation {
    pub(super) async fn say(&mut self, code: u16, text: &str) -> Result<(), Gone> {
        self.perform(reply(code, text)).await?;
        Ok(())
    }

    pub(super) async fn answer(
        &mut self,
        verb: &str,
        argument: &str,
        answer: Answer,
    ) -> Result<Option<u16>, Gone> {
        let act = answer.act(self.ask(verb, argument));
        self.perform(act).await
    }

    /// Acts; says which reply code the peer saw.
    pub(super) async fn perform(&mut self, mut act: Act) -> Result<Option<u16>, Gone> {
        let code = act.code();
        while let Act::After(delay, then) = act {
            sleep(delay).await;
            act = *then;
        }
        match act {
            Act::Send(bytes) => self.send(&bytes).await?,
            Act::SendAndClose(bytes) => {
                self.send(&bytes).await?;
                self.close::<()>().await?;
            }
            Act::Drip(bytes, pause) => self.drip(&bytes, pause).await?,
            Act::EndlessLine => loop {
                self.send(&[b'x'; 4096]).await?;
            },
            Act::Close => {
                let _ = timeout(LINGER, self.io.shutdown()).await;
                return Err(Gone);
            }
            Act::Reset => {
                self.io.get_ref().tcp().set_zero_linger()?;
                return Err(Gone);
            }
            Act::Stall => std::future::pending().await,
            Act::After(..) => unreachable!("unwrapped above"),
        }
        Ok(code)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.io.write_all(bytes).await?;
        self.io.flush().await?;
        Ok(())
    }

    async fn drip(&mut self, bytes: &[u8], pause: Duration) -> Result<(), Gone> {
        for byte in bytes.chunks(1) {
            sleep(pause).await;
            self.send(byte).await?;
        }
        Ok(())
    }

    /// Closes in peace: reads what the peer still sends, or a reset would overtake the last reply.
    pub(super) async fn close<T>(&mut self) -> Result<T, Gone> {
        let _ = timeout(LINGER, async {
            self.io.shutdown().await?;
            let mut rest = [0; 4096];
            while self.io.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
        Err(Gone)
    }
}

//! Tests of the compressed protocol.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd(3)];

async fn pair(algorithm: Algorithm) -> (Compressed, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    (begun(near, algorithm, b""), far)
}

fn begun(stream: TcpStream, algorithm: Algorithm, leftover: &[u8]) -> Compressed {
    let mut compressed = Compressed::new(Stream::Plain(stream), algorithm);
    compressed.begin(leftover);
    compressed
}

fn piece(number: u8, unpacked: usize, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_uint_le(body.len() as u64, 3);
    out.put_u8(number);
    out.put_uint_le(unpacked as u64, 3);
    out.extend_from_slice(body);
    out
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    for algorithm in BOTH {
        let (mut near, far) = pair(algorithm).await;
        let mut far = begun(far, algorithm, b"");
        let mut text = Vec::new();
        for n in 0..60_000_u32 {
            text.extend_from_slice(n.to_string().as_bytes());
        }
        let sent = text.clone();
        let sending = async move {
            near.write_all(&sent).await.unwrap();
            near.flush().await.unwrap();
            near
        };
        let mut read = vec![0; text.len()];
        let (near, result) = tokio::join!(sending, far.read_exact(&mut read));
        result.unwrap();
        assert!(read == text, "{algorithm:?}");
        drop(near);
        assert_eq!(far.read(&mut read).await.unwrap(), 0, "the end");
    }
}

/// Found with PHP's driver: the numbers of an answer go on from those of the command.
#[tokio::test]
async fn an_answer_goes_on_from_the_number_of_the_command() {
    let (mut near, mut far) = pair(Algorithm::Zlib).await;
    for _ in 0..2 {
        far.write_all(&piece(0, 0, b"ab")).await.unwrap();
        far.write_all(&piece(1, 0, b"cd")).await.unwrap();
        let mut command = [0; 4];
        near.read_exact(&mut command).await.unwrap();
        assert_eq!(&command, b"abcd");
        near.write_all(b"yes").await.unwrap();
        near.flush().await.unwrap();
        let mut answer = [0; 10];
        far.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer.to_vec(), piece(2, 0, b"yes"));
    }
}

#[tokio::test]
async fn what_the_handshake_read_too_much_is_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let leftover = piece(0, 0, b"early");
    let mut near = begun(near, Algorithm::Zlib, &leftover);
    let mut read = [0; 5];
    near.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"early");
}

#[tokio::test]
async fn pieces_that_lie_about_themselves_are_refused() {
    for algorithm in BOTH {
        let text = [b'a'; 4_000];
        let packed = algorithm.pack(&text).unwrap().expect("it gets smaller");
        let hostile = [
            piece(0, 3_999, &packed),
            piece(0, 4_001, &packed),
            piece(0, 10, b"no such stream"),
            piece(0, 4_000, &packed[..packed.len() / 2]),
        ];
        for bytes in hostile {
            let (mut near, mut far) = pair(algorithm).await;
            far.write_all(&bytes).await.unwrap();
            drop(far);
            let mut read = vec![0; 8_000];
            assert!(near.read(&mut read).await.is_err(), "{algorithm:?} {bytes:?}");
        }
    }
}

/// A few bytes that unpack to very many: no more is unpacked than the piece says, and no piece can
/// say more than 16 MiB.
#[test]
fn a_bomb_is_not_unpacked() {
    for algorithm in BOTH {
        let bomb = algorithm.pack(&vec![0; 10_000_000]).unwrap().expect("it gets smaller");
        assert!(algorithm.unpack(&bomb, 1_000).is_err());
    }
}

#[tokio::test]
async fn a_piece_that_is_cut_off_is_no_end() {
    let (mut near, mut far) = pair(Algorithm::Zlib).await;
    far.write_all(&piece(0, 0, b"abcdef")[..9]).await.unwrap();
    drop(far);
    let error = near.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

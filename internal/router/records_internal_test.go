package router

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

type reading struct {
	net.Conn
	from interface{ Read(p []byte) (int, error) }
}

func (r reading) Read(p []byte) (int, error) { return r.from.Read(p) }

func TestRecordsAreHandedOnOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 400), 1, 6).Draw(t, "sizes")
		var text []byte
		ends := map[int]bool{0: true}
		for i, n := range sizes {
			text = append(append(text, 23, 3, 3, byte(n>>8), byte(n)), bytes.Repeat([]byte{byte(i)}, n)...)
			ends[len(text)] = true
		}
		socket := reading{from: iotest.OneByteReader(bytes.NewReader(text))}
		if rapid.Bool().Draw(t, "at once") {
			socket = reading{from: bytes.NewReader(text)}
		}
		r := newRecords(socket, socket, &slabs{})
		var got []byte
		for len(got) < len(text) {
			p := make([]byte, rapid.IntRange(1, 600).Draw(t, "size"))
			n, err := r.Read(p)
			for at := len(got) + 1; at < len(got)+n; at++ {
				if ends[at] {
					t.Fatalf("a read of %d bytes at %d goes over a record's end at %d", n, len(got), at)
				}
			}
			got = append(got, p[:n]...)
			if all := len(got) + r.in.w - r.in.r; err != nil || r.between() != (ends[len(got)] && all == len(got)) {
				t.Fatalf("after %d of %d bytes: between %v, %v", len(got), len(text), r.between(), err)
			}
		}
		if !bytes.Equal(got, text) {
			t.Fatal("other bytes came")
		}
	})
}

// tallied counts the writes to a connection.
type tallied struct {
	net.Conn
	writes int
}

func (c *tallied) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

func TestWhatIsWrittenAtATimeGoesOutAtATime(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	pair := throwaway(t)
	got := make(chan []byte, 1)
	go func() {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			got <- nil
			return
		}
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		got <- all
	}()
	socket, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	out := &tallied{Conn: socket}
	under := newRecords(out, socket, &slabs{})
	conn := &sealed{Conn: tls.Server(under, &tls.Config{Certificates: []tls.Certificate{pair}}), under: under}
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i, size := range []int{1, 1200, 10000, slabSize - 1, slabSize, 3 * slabSize, 200} {
		before := out.writes
		text := bytes.Repeat([]byte{byte(i)}, size)
		want = append(want, text...)
		if n, err := conn.Write(text); n != size || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, size, err)
		}
		if wrote := out.writes - before; wrote != 1 {
			t.Errorf("%d bytes went out in %d pieces", size, wrote)
		}
	}
	_ = conn.CloseWrite()
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("%d bytes came of %d, or others", len(all), len(want))
	}
	_ = socket.Close()
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("a write to a closed connection went well")
	}
}

// throwaway is a certificate for nothing in particular.
func throwaway(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

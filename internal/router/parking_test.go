package router_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// keeping is a socket that keeps what is written to it until it is let go.
type keeping struct {
	net.Conn
	keeps bool
	kept  []byte
}

func (k *keeping) Write(p []byte) (int, error) {
	if k.keeps {
		k.kept = append(k.kept, p...)
		return len(p), nil
	}
	return k.Conn.Write(p)
}

func (k *keeping) letGo() {
	k.keeps = false
	_, _ = k.Conn.Write(k.kept)
	k.kept = nil
}

// idler is a client that has its connection of TLS parked.
type idler struct {
	keepAlive
	socket *keeping
	secure *tls.Conn
	keys   bytes.Buffer // of the connection, as in SSLKEYLOGFILE
	e      *edge
}

// lotOf is an edge that parks connections soon.
func lotOf(t *testing.T, opt router.Options) (e *edge, addr string) {
	t.Helper()
	if opt.Quiet == 0 {
		opt.Quiet = 20 * time.Millisecond // so that the watch looks often
	}
	e = serve(t, opt)
	addr = e.serveTLS()
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	return e, addr
}

func (e *edge) idler(addr string) *idler {
	e.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	i := &idler{socket: &keeping{Conn: conn}, e: e}
	i.secure = tls.Client(i.socket, &tls.Config{
		InsecureSkipVerify: true, ServerName: "blog.test", MinVersion: tls.VersionTLS13, KeyLogWriter: &i.keys,
	})
	i.keepAlive = keepAlive{i.secure, bufio.NewReader(i.secure), e.t}
	i.ask(0)
	if body, closes := i.answer(); body != "0 <nil>" || closes {
		e.t.Fatalf("got %q, close %v", body, closes)
	}
	return i
}

func (i *idler) ask(size int) {
	fmt.Fprintf(i, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
}

func (e *edge) untilParked(n int) {
	for e.Parked() != n {
		time.Sleep(time.Millisecond)
	}
}

func (e *edge) untilConnections(n int) {
	for e.Connections() != n {
		time.Sleep(time.Millisecond)
	}
}

func (i *idler) expect(bodies ...string) {
	i.t.Helper()
	for _, want := range bodies {
		if body, closes := i.answer(); body != want || closes {
			i.t.Fatalf("got %q for %q, close %v", body, want, closes)
		}
	}
}

func TestParkedConnectionsTakeRequestsHoweverTheyCome(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	i := e.idler(addr)
	for _, come := range []func(){
		func() { i.ask(1) },
		func() { // many records in one piece, the last of them not whole
			i.socket.keeps = true
			for _, c := range "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1\r\n\r\nx" {
				_, _ = io.WriteString(i, string(c))
			}
			rest := i.socket.kept[len(i.socket.kept)-7:]
			i.socket.kept = i.socket.kept[:len(i.socket.kept)-7]
			i.socket.letGo()
			_, _ = i.socket.Write(rest)
		},
	} {
		e.untilParked(1)
		come()
		i.expect("1 <nil>")
	}
	e.untilParked(1)
	i.socket.keeps = true // requests in one record, and more records in the same piece
	fmt.Fprint(i, strings.Repeat("POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 2\r\n\r\nxx", 3))
	i.ask(70000)
	i.ask(3)
	i.socket.letGo()
	i.expect("2 <nil>", "2 <nil>", "2 <nil>", "70000 <nil>", "3 <nil>")
	e.untilParked(1)
}

func TestWhatIsLeftOfALargeRecordIsNotWaitedFor(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	i := e.idler(addr)
	i.ask(300000) // from then on records are as large as can be
	i.expect("300000 <nil>")
	const record, begun = 16384, 20
	head := "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: %d\r\n\r\n"
	size := record - (len(fmt.Sprintf(head, record)) - begun)
	text := fmt.Sprintf(head, size) + strings.Repeat("x", size)
	i.socket.keeps = true
	_, _ = io.WriteString(i, text[:begun])
	before := len(i.socket.kept)
	_, _ = io.WriteString(i, text[begun:])
	if head := i.socket.kept[before:]; int(head[3])<<8|int(head[4]) < record {
		t.Fatal("the client made smaller records")
	}
	i.socket.letGo()
	i.expect(fmt.Sprintf("%d <nil>", size))
}

func TestManyParkedConnectionsGoOnAtOnce(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	all := make([]*idler, 50)
	for n := range all {
		all[n] = e.idler(addr)
	}
	e.atOnce(len(all), func(n int) {
		all[n].ask(n)
		if body, _ := all[n].answer(); body != fmt.Sprintf("%d <nil>", n) {
			t.Errorf("got %q for %d", body, n)
		}
	})
}

// atOnce has so many that are parked ask at once, and again when they are.
func (e *edge) atOnce(count int, ask func(n int)) {
	for range 3 {
		e.untilParked(count)
		var wg sync.WaitGroup
		for n := range count {
			wg.Go(func() { ask(n) })
		}
		wg.Wait()
	}
}

// update sends, past crypto/tls, a KeyUpdate and a request under the new keys:
// records after the first sent of the connection's own (RFC 8446, 4.6.3).
func (i *idler) update(sent uint64, request string) {
	i.t.Helper()
	var secret []byte
	for line := range strings.Lines(i.keys.String()) {
		if words := strings.Fields(line); words[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, _ = hex.DecodeString(words[2])
		}
	}
	if i.secure.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		i.t.Skip("another cipher was agreed on")
	}
	expand := func(label string, length int) []byte {
		info := append(binary.BigEndian.AppendUint16(nil, uint16(length)), byte(len("tls13 ")+len(label)))
		key, err := hkdf.Expand(sha256.New, secret, string(info)+"tls13 "+label+"\x00", length)
		if err != nil {
			i.t.Fatal(err)
		}
		return key
	}
	send := func(seq uint64, kind byte, text string) {
		block, _ := aes.NewCipher(expand("key", 16))
		aead, _ := cipher.NewGCM(block)
		nonce := expand("iv", 12)
		for at, b := range binary.BigEndian.AppendUint64(nil, seq) {
			nonce[4+at] ^= b
		}
		head := []byte{23, 3, 3, 0, 0}
		binary.BigEndian.PutUint16(head[3:], uint16(len(text)+1+aead.Overhead()))
		_, _ = i.socket.Write(aead.Seal(head, nonce, append([]byte(text), kind), head))
	}
	send(sent, 22, "\x18\x00\x00\x01\x00")
	secret = expand("traffic upd", 32)
	if request != "" {
		send(0, 23, request)
	}
}

func TestNewKeysForAParkedConnection(t *testing.T) {
	for _, together := range []bool{true, false} {
		e, addr := lotOf(t, router.Options{})
		i := e.idler(addr)
		e.untilParked(1)
		if !together { // the update alone: it is parked again
			i.socket.keeps = true
		}
		i.update(1, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1\r\n\r\nx")
		if !together {
			first := 5 + int(i.socket.kept[3])<<8 + int(i.socket.kept[4])
			_, _ = i.socket.Conn.Write(i.socket.kept[:first])
			for e.Resumed() == 0 {
				time.Sleep(time.Millisecond)
			}
			e.untilParked(1)
			_, _ = i.socket.Conn.Write(i.socket.kept[first:])
		}
		i.expect("1 <nil>")
	}
}

func TestTheEndOfAParkedConnectionIsSeen(t *testing.T) {
	for name, end := range map[string]func(*idler){
		"close_notify": func(i *idler) { _ = i.secure.CloseWrite() },
		"no farewell":  func(i *idler) { _ = i.socket.Conn.(*net.TCPConn).CloseWrite() },
	} {
		e, addr := lotOf(t, router.Options{})
		i := e.idler(addr)
		e.untilParked(1)
		end(i)
		if _, err := io.Copy(io.Discard, i.socket.Conn); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e.untilParked(0)
	}
}

func TestTheHalfOfARecordDoesNotHoldAConnection(t *testing.T) {
	e, addr := lotOf(t, router.Options{HeaderTimeout: 2 * time.Second, IdleTimeout: time.Hour}) // a handshake's, too
	all := []*idler{e.idler(addr), e.idler(addr)}
	e.untilParked(2)
	all = append(all, e.idler(addr)) // and one before it is parked
	for n, half := range []string{"\x17", "\x17\x03\x03\x00\x80half", "\x17\x03"} {
		_, _ = io.WriteString(all[n].socket, half)
	}
	for _, i := range all {
		if _, err := io.Copy(io.Discard, i.socket.Conn); err != nil {
			t.Error(err)
		}
	}
}

func TestParkedConnectionsAreClosedWhenTheirTimeIsOver(t *testing.T) {
	e, addr := lotOf(t, router.Options{IdleTimeout: 400 * time.Millisecond})
	i := e.idler(addr)
	for e.Parked() == 0 && e.Connections() > 0 { // that time may be over before this looks
		time.Sleep(time.Millisecond)
	}
	if _, err := io.Copy(io.Discard, i.socket.Conn); err != nil {
		t.Error(err)
	}
	e.untilParked(0)
}

func TestADrainingRouterServesParkedConnectionsOnceMore(t *testing.T) {
	e, addr := lotOf(t, router.Options{Quiet: 200 * time.Millisecond, IdleTimeout: time.Hour})
	asks, silent := e.idler(addr), e.idler(addr)
	e.untilParked(2)
	e.StartDraining()
	asks.ask(1)
	if body, closes := asks.answer(); body != "1 <nil>" || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }() // from now on who is quiet is closed
	if _, err := silent.rd.ReadByte(); err == nil {
		t.Error("the silent connection goes on")
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestParkedConnectionsCount(t *testing.T) {
	e, addr := lotOf(t, router.Options{MaxConnections: 2, Quiet: time.Hour})
	first := e.idler(addr)
	e.idler(addr)
	e.untilParked(2)
	third := &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test"}
	if conn, err := tls.Dial("tcp", addr, third); err == nil {
		conn.Close()
		t.Error("a third came in")
	}
	first.socket.Close()
	e.untilConnections(1) // it leaves the lot before it is gone
	e.idler(addr)
}

func TestParkedConnectionsMakeRoom(t *testing.T) {
	e, addr := lotOf(t, router.Options{MaxConnections: 2, Quiet: time.Millisecond})
	for range 6 {
		e.idler(addr)
		for e.Parked() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

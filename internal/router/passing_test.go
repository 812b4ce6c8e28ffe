package router_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/router"
)

// passTo is what descriptors that another process is sent are: copies.
func passTo(to *edge) func([]router.Passed) error {
	return func(some []router.Passed) error {
		var copies []router.Passed
		for _, p := range some {
			fd, err := unix.FcntlInt(uintptr(p.FD), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return err
			}
			copies = append(copies, router.Passed{FD: fd, Client: p.Client})
		}
		to.Take(copies)
		return nil
	}
}

// twoEdges are a router that leaves and its successor, which say who they are.
func twoEdges(t *testing.T, opt router.Options) (older, newer *edge) {
	older, newer = serve(t, opt), serve(t, opt)
	older.SetRoute("blog", route("blog", 1, backend(t, says("older"))))
	newer.SetRoute("blog", route("blog", 1, backend(t, says("newer"))))
	return older, newer
}

func TestConnectionsThatWaitPassToASuccessor(t *testing.T) {
	older, newer := twoEdges(t, router.Options{HeaderTimeout: hangs})
	fresh := older.keepAlive() // says nothing till the end
	var all []*keepAlive
	for range 450 { // more than pass at once
		k := older.keepAlive()
		if body, closes := k.get("blog.test"); body != "older" || closes {
			t.Fatalf("got %q, close %v", body, closes)
		}
		all = append(all, k)
	}
	older.PassOn(passTo(newer))
	if err := older.Drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range append(all, fresh) {
		for range 2 {
			if body, closes := k.get("blog.test"); body != "newer" || closes {
				t.Fatalf("got %q, close %v", body, closes)
			}
		}
	}
}

func TestAConnectionPassesAfterTheAnswerUnderWay(t *testing.T) {
	older, newer := twoEdges(t, router.Options{})
	arrived, leave := make(chan struct{}), make(chan struct{})
	older.SetRoute("slow", route("slow", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-leave
		_, _ = io.WriteString(w, "slow")
	})))
	busy, half := older.keepAlive(), older.keepAlive()
	fmt.Fprint(busy, "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
	<-arrived
	fmt.Fprint(half, "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
	<-arrived
	fmt.Fprint(half, "GET / HTTP/1.1\r\nHost: blo") // comes before its turn
	older.PassOn(passTo(newer))
	drained := make(chan error, 1)
	go func() { drained <- older.Drained(t.Context()) }()
	waitRefused(t, older)
	close(leave)
	if body, closes := busy.answer(); body != "slow" || closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	if body, closes := busy.get("blog.test"); body != "newer" || closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	if body, closes := half.answer(); body != "slow" || closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	fmt.Fprint(half, "g.test\r\n\r\n") // of a request whose beginning the older one has
	if body, closes := half.answer(); body != "older" && body != "newer" || closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	if body, closes := half.get("blog.test"); body != "newer" || closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestConnectionsThatNobodyTakesAreServedAndThenClosed(t *testing.T) {
	older, _ := twoEdges(t, router.Options{Quiet: 200 * time.Millisecond})
	first, second := older.keepAlive(), older.keepAlive()
	first.get("blog.test")
	second.get("blog.test")
	asked := make(chan struct{}, 2)
	older.PassOn(func([]router.Passed) error {
		asked <- struct{}{}
		return errors.New("the successor has died")
	})
	older.StartDraining()
	<-asked
	if body, closes := first.get("blog.test"); body != "older" || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	drained := make(chan error, 1)
	go func() { drained <- older.Drained(t.Context()) }() // from now on who is quiet is closed
	if _, err := second.rd.ReadByte(); err != io.EOF {
		t.Errorf("the silent connection ended with %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestAClientBehindAProxyStaysWhoItIs(t *testing.T) {
	opt := router.Options{ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	older, newer := twoEdges(t, opt)
	tell := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	})
	older.SetRoute("who", route("who", 1, tell))
	newer.SetRoute("who", route("who", 1, tell))
	k := older.keepAlive()
	fmt.Fprint(k, "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n")
	silent := older.keepAlive() // has not said who it is
	if body, _ := k.get("who.test"); body != "203.0.113.7" {
		t.Fatalf("it is %q", body)
	}
	older.PassOn(passTo(newer))
	older.StartDraining()
	for range 2 {
		if body, closes := k.get("who.test"); body != "203.0.113.7" || closes {
			t.Errorf("it is %q, close %v", body, closes)
		}
	}
	fmt.Fprint(silent, "PROXY TCP4 203.0.113.8 192.0.2.1 4711 80\r\n")
	if body, closes := silent.get("who.test"); body != "203.0.113.8" || closes {
		t.Errorf("it is %q, close %v", body, closes)
	}
	if body, _ := k.get("blog.test"); body != "newer" {
		t.Errorf("%q serves it", body)
	}
}

// waitRefused returns once the edge takes no connection any more.
func waitRefused(t *testing.T, e *edge) {
	t.Helper()
	for range 1000 {
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it does not leave")
}

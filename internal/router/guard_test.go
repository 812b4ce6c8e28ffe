package router_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// lateness is what a router is told of how late it is.
type lateness struct {
	atomic.Int64
	busy func() // what makes it late, once it is
}

func (l *lateness) now() time.Duration {
	late := l.Load()
	if late > 0 && l.busy != nil {
		l.busy()
	}
	return time.Duration(late)
}

const veryLate = int64(200 * time.Millisecond)

// serveLate is a router that is as late as it is told. It looks every 10 ms.
func serveLate(t *testing.T, late *lateness, log *slog.Logger) *edge {
	opt := router.Options{HeaderTimeout: time.Minute, Quiet: 40 * time.Millisecond}
	if os.Getenv(loopsEnv) != "" {
		opt.Loops = 1
	}
	r := router.New(log, opt)
	r.SetLate(late.now)
	return serves(t, r, opt.Loops)
}

// askClass is a client that keeps its connection, and tells what it is answered.
func (e *edge) askClass(client *http.Client, app, class string) int {
	req, _ := http.NewRequest(http.MethodGet, "http://"+e.addr+"/", nil)
	req.Host = app + ".test"
	req.Header.Set("X-Class", class)
	res, err := client.Do(req)
	if err != nil {
		e.t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// classed are rules that take the class from a header.
func classed() platform.Edge {
	var e platform.Edge
	for _, class := range []string{"critical", "background"} {
		e.Overload.Classes = append(e.Overload.Classes, platform.OverloadClass{Class: class, Header: "X-Class", Value: class})
	}
	return e
}

func TestALateRouterPutsOffHandshakesFirst(t *testing.T) {
	var late lateness
	e := serveLate(t, &late, slog.New(slog.DiscardHandler))
	addr := e.serveTLS()
	rt := route("shop", 1, backend(t, says("fine")))
	rt.Edge = classed()
	e.SetRoute("shop", rt)
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "shop.test")}})
	late.busy = func() {
		for n := 0; n < 100 && !e.Slows(); n++ { // as many as it takes, on a machine of any speed
			_, _ = e.ConfigFor("shop.test")
		}
	}
	late.Store(veryLate)
	client := &http.Client{Transport: &http.Transport{}}
	for !e.Slows() {
		if status := e.askClass(client, "shop", "background"); status != http.StatusOK {
			t.Fatalf("a request is answered with %d before handshakes are put off", status)
		}
	}
	late.Store(0)
	for e.Slows() { // nobody waits for a turn: they come as they come again
		if status := e.askClass(client, "shop", "background"); status != http.StatusOK {
			t.Fatalf("a request is answered with %d though handshakes were put off", status)
		}
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("a handshake after the flood: %v", err)
	}
	_ = conn.Close()
}

func TestOneLoudTenantOfTwentyCannotTakeTheRouter(t *testing.T) {
	var late lateness
	var log logged
	e := serveLate(t, &late, slog.New(slog.NewTextHandler(&log, nil)))
	app := backend(t, says("fine"))
	for i := range 20 {
		name := fmt.Sprintf("app%d", i)
		rt := route(name, 1, app)
		rt.Edge = classed()
		e.SetRoute(name, rt)
	}
	client := &http.Client{Transport: &http.Transport{}}
	late.Store(veryLate)
	for shed := 0; shed == 0; {
		for i := range 20 {
			for range 20 {
				if status := e.askClass(client, "app0", "background"); status != http.StatusOK {
					shed++
					late.Store(int64(40 * time.Millisecond)) // it stays as it is
				}
			}
			if status := e.askClass(client, "app0", "critical"); status != http.StatusOK {
				t.Fatalf("a critical request of the loud app: %d", status)
			}
			if i == 0 {
				continue
			}
			if status := e.askClass(client, fmt.Sprintf("app%d", i), "background"); status != http.StatusOK {
				t.Fatalf("a quiet app's request: %d", status)
			}
		}
	}
	late.Store(0)
	for e.Sheds() {
		e.askClass(client, "app0", "background")
	}
	if status := e.askClass(client, "app0", "background"); status != http.StatusOK {
		t.Errorf("when it is over: %d", status)
	}
	if n := strings.Count(log.text(), `msg="requests were turned away" app=app0 reason=router`); n != 1 {
		t.Errorf("the log says %d times within a few seconds that requests were turned away:\n%s", n, log.text())
	}
	for _, s := range e.Snapshot().Shed {
		if s.App != "app0" || s.Class != "background" || s.Reason != "router" {
			t.Errorf("counted: %+v", s)
		}
	}
}

// logged is what a log says.
type logged struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

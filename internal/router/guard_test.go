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
type lateness struct{ atomic.Int64 }

func (l *lateness) now() time.Duration { return time.Duration(l.Load()) }

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

// flooded is a router that is late for the handshakes which come, until it puts
// them off: it takes a thousand turns itself each time that it looks.
func flooded(t *testing.T, log *slog.Logger) (e *edge, flood, jam *atomic.Bool) {
	flood, jam = new(atomic.Bool), new(atomic.Bool)
	opt := router.Options{HeaderTimeout: time.Minute, Quiet: 40 * time.Millisecond}
	if os.Getenv(loopsEnv) != "" {
		opt.Loops = 1
	}
	r := router.New(log, opt)
	r.SetLate(func() time.Duration {
		if jam.Load() {
			return time.Duration(veryLate)
		}
		if !flood.Load() || r.Slows() {
			return 0
		}
		r.TakeTurns(1000)
		return time.Duration(veryLate)
	})
	return serves(t, r, opt.Loops), flood, jam
}

func TestALateRouterPutsOffHandshakesFirst(t *testing.T) {
	var log logged
	e, flood, jam := flooded(t, slog.New(slog.NewTextHandler(&log, nil)))
	addr := e.serveTLS()
	rt := route("shop", 1, backend(t, says("fine")))
	rt.Edge = classed()
	e.SetRoute("shop", rt)
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "shop.test")}})
	shake := func() error {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true})
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	fine := func() {
		if status := e.askClass(client, "shop", "background"); status != http.StatusOK {
			t.Fatalf("a request is answered with %d though it is handshakes that make the router late", status)
		}
	}
	flood.Store(true)
	for fine(); !strings.Contains(log.text(), "handshakes are put off"); fine() {
	}
	flood.Store(false)
	for fine(); e.Slows(); fine() { // nobody waits for a turn: they come as they come again
	}
	if err := shake(); err != nil {
		t.Fatalf("a handshake after the flood: %v", err)
	}
	flood.Store(true)
	for !e.Slows() {
		fine()
	}
	jam.Store(true) // now they are to be put off for as long as it is tried
	for shake() == nil {
		e.TakeTurns(1000)
	}
	flood.Store(false)
	jam.Store(false)
	for e.Slows() || e.Sheds() {
		e.askClass(client, "shop", "background")
	}
	if err := shake(); err != nil {
		t.Errorf("a handshake after all: %v", err)
	}
	fine()
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
	client, begun := &http.Client{Transport: &http.Transport{}}, time.Now()
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
	if n := strings.Count(log.text(), `msg="requests were turned away" app=app0 reason=router`); n == 0 || n > 1+int(time.Since(begun)/(10*time.Second)) {
		t.Errorf("the log says %d times within %v that requests were turned away:\n%s", n, time.Since(begun), log.text())
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

package router_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/router"
)

// repeatWord is an app that says the request's word again and again, piece by
// piece: as a body with or without a length, or after an upgrade.
func repeatWord(w http.ResponseWriter, r *http.Request) {
	word := r.Header.Get("Word")
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get("Upgrade") != "" {
		tunnel(func(_ net.Conn, rw *bufio.ReadWriter) {
			for range words {
				if _, err := rw.WriteString(word); err != nil || rw.Flush() != nil {
					return
				}
			}
		})(w, r)
		return
	}
	if r.Header.Get("Sized") != "" {
		w.Header().Set("Content-Length", fmt.Sprint(words*len(word)))
	}
	for range words {
		_, _ = io.WriteString(w, word)
		_ = http.NewResponseController(w).Flush()
	}
}

const words = 50

// asksForWords asks on connections of its own until stop, and tells what was no
// answer to what it asked. An answer may be broken off.
func (e *edge) asksForWords(name int, stop *atomic.Bool, answers *atomic.Int64) (wrong error) {
	var conn net.Conn
	var rd *bufio.Reader
	for i := 0; !stop.Load(); i++ {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", e.addr); err != nil {
				return err
			}
			rd = bufio.NewReader(conn)
		}
		_ = conn.SetDeadline(time.Now().Add(hangs))
		word := fmt.Sprintf("<%d of %d>", i, name)
		kind := []string{
			"GET /words HTTP/1.1\r\nHost: blog.test\r\nWord: %s\r\nSized: 1\r\n\r\n",
			"GET /words HTTP/1.1\r\nHost: blog.test\r\nWord: %s\r\n\r\n",
			"POST /words HTTP/1.1\r\nHost: blog.test\r\nWord: %s\r\nContent-Length: 10\r\n\r\n0123456789",
			"POST /words HTTP/1.1\r\nHost: blog.test\r\nWord: %s\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("0", 40000),
			"GET /words HTTP/1.1\r\nHost: blog.test\r\nWord: %s\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n",
		}[rand.N(5)]
		_, _ = fmt.Fprintf(conn, kind, word)
		more, err := hearWord(rd, word)
		if err != nil {
			conn.Close()
			return err
		}
		if !more {
			conn.Close()
			conn = nil
		}
		answers.Add(1)
	}
	if conn != nil {
		conn.Close()
	}
	return nil
}

// hearWord reads an answer of the app's or a page of the router's. more says
// that another request may follow.
func hearWord(rd *bufio.Reader, word string) (more bool, err error) {
	res, err := http.ReadResponse(rd, nil)
	if err != nil {
		return false, nil //nolint:nilerr // it was broken off before it began
	}
	defer res.Body.Close()
	var body []byte
	if res.StatusCode == http.StatusSwitchingProtocols {
		body, err = io.ReadAll(rd)
		res.Close = true
	} else {
		body, err = io.ReadAll(res.Body)
	}
	whole := strings.Repeat(word, words)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, fmt.Errorf("the answer to %s hung after %d bytes", word, len(body))
	case res.StatusCode >= 502 && res.StatusCode <= 504:
		return err == nil && !res.Close, nil
	case !strings.HasPrefix(whole, string(body)):
		return false, fmt.Errorf("%s got %.80q", word, body)
	case err == nil && len(body) < len(whole) && res.StatusCode != http.StatusSwitchingProtocols:
		return false, fmt.Errorf("%s got %d bytes as if that were all", word, len(body))
	}
	return err == nil && !res.Close, nil
}

func TestWhateverAKillMeetsNothingIsMixedUpAndNothingLeaks(t *testing.T) {
	e := serve(t, router.Options{UpstreamIdle: time.Millisecond})
	rounds := 20
	if e.loops > 0 && !testing.Short() {
		rounds = 200
	}
	var at string // the port of one that has ended
	if !t.Run("", func(t *testing.T) { _, at = process(t, alone()) }) {
		t.FailNow()
	}
	e.SetRoute("blog", route("blog", 1, at))
	before := descriptors(t)
	var stop atomic.Bool
	var answers atomic.Int64
	var all sync.WaitGroup
	const clients = 6
	wrong := make([]error, clients)
	for i := range clients {
		all.Go(func() { wrong[i] = e.asksForWords(i, &stop, &answers) })
	}
	for range rounds {
		t.Run("", func(t *testing.T) { // which kills it at its end
			process(t, at)
			for until := answers.Load() + rand.Int64N(20); answers.Load() < until; {
				runtime.Gosched()
			}
			for range rand.N(1000) {
				runtime.Gosched()
			}
		})
	}
	stop.Store(true)
	all.Wait()
	for _, err := range wrong {
		if err != nil {
			t.Error(err)
		}
	}
	limit := time.Now().Add(hangs)
	left := func() bool { return descriptors(t) > before || e.InFlight("at-"+at) > 0 || e.OnLoops() > 0 }
	for left() && time.Now().Before(limit) {
		runtime.Gosched()
	}
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
	if n := e.InFlight("at-" + at); n != 0 || e.OnLoops() != 0 {
		t.Errorf("%d requests and %d clients are left", n, e.OnLoops())
	}
}

// descriptors is how many this process has.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

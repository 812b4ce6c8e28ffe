package node_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
)

// holds waits until a file holds a text.
func (w *world) holds(path, text string) {
	w.Helper()
	var last []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if last, _ = os.ReadFile(path); strings.Contains(string(last), text) {
			return
		}
	}
	w.Fatalf("%s holds %q, not %q", path, last, text)
}

func TestRequestsAreWrittenDownAlsoAfterTheFileWasMovedAndTheNodeReplaced(t *testing.T) {
	w := newWorld(t)
	w.access = w.path("access.log")
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	w.mustGet("blog", "/?secret=1")
	w.holds(w.access, `"app":"blog"`)
	if err := os.Rename(w.access, w.access+".1"); err != nil {
		t.Fatal(err)
	}
	if err := first.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t.Context(), w.access)
	w.mustGet("blog", "/id")
	w.holds(w.access, `"path":"/id"`)
	w.node()
	<-first.ended
	w.mustGet("blog", "/?again")
	w.holds(w.access, `"path":"/",`)
	for _, path := range []string{w.access, w.access + ".1"} {
		if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("%s holds %q, %v", path, text, err)
		}
	}
}

func TestRequestsAreWrittenIntoTheAppsOwnLog(t *testing.T) {
	w := newWorld(t)
	w.access = node.AppLog
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	w.mustGet("blog", "/id")
	w.said("blog", func(line string) bool { return strings.Contains(line, `"path":"/id"`) })
}

func TestPrometheusIsAnsweredAtTheSameDoorByOneNodeAfterTheOther(t *testing.T) {
	w := newWorld(t)
	w.metrics = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	read := func() string {
		t.Helper()
		res, err := http.Get("http://" + w.metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text)
	}
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	if text := read(); !strings.Contains(text, "slipway_connections_total") {
		t.Errorf("got %q", text)
	}
	w.node()
	<-first.ended
	text, err := node.Metrics(t.Context(), w.path("node/node.sock"))
	if err != nil || !strings.Contains(text, "slipway_connections_total") || !strings.Contains(read(), "slipway_connections_total") {
		t.Errorf("after it was replaced: %v, %.80q", err, text)
	}
}

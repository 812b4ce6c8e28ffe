package node

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// AppLog as the path of an access log puts each app's lines into its own log,
// where slipway logs shows them as the process router's.
const AppLog = "app"

// openAccess opens the access log, if there is to be one, and has the router
// write to it.
func (n *node) openAccess() error {
	opt := n.opt.Access
	switch opt.Path {
	case "":
		return nil
	case AppLog:
		opt.Lines = n.tellApp
	}
	var err error
	if n.access, err = access.OpenLog(n.log, opt); err != nil {
		return &platform.UserError{
			Kind: platform.ErrInvalid, Message: err.Error(),
			Cure: "Name a file with --access-log that the node can write, in a directory that is there.",
		}
	}
	n.opt.Router.Access = func(r router.Access) { n.access.Write(&r) }
	n.opt.Router.Sampled = n.access.Wants
	return nil
}

// tellApp puts a line into an app's log. Requests of no app have no such log.
func (n *node) tellApp(app string, line []byte) bool {
	if app == "" {
		return true
	}
	return n.logs.tell(platform.NodeLogLine{LogLine: platform.LogLine{
		At: time.Now(), App: app, Source: platform.LogApp, Process: "router", Text: string(bytes.TrimSpace(line)),
	}})
}

// closeAccess writes what waits, once no request is under way any more.
func (n *node) closeAccess() {
	if n.access != nil {
		if err := n.access.Close(); err != nil {
			n.log.Warn("access log was not closed", "err", err)
		}
	}
}

// reopenAccess opens the log's file again for each signal, until done.
func (n *node) reopenAccess(signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-signals:
			if n.access != nil {
				n.access.Reopen()
			}
		case <-done:
			return
		}
	}
}

// serveMetrics answers Prometheus at its door until done, or until shutMetrics.
func (n *node) serveMetrics(work *sync.WaitGroup, ln net.Listener, done <-chan struct{}) {
	n.shutMetrics = func() {}
	if ln == nil {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", n.exporter)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	n.shutMetrics = func() { _ = server.Close() }
	work.Go(func() { _ = server.Serve(ln) }) // until done
	work.Go(func() {
		<-done
		_ = server.Close()
	})
}

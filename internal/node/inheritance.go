package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// What a router has learnt passes to its successor: whom it ejected, whom it
// admits, what it found out, what it counted of cutovers. The new node asks
// for it (GET /known) when the old one has frozen and before it serves itself; a
// node that does not know the question answers 404. What the old one counts of
// cutovers after that it tells in the conversation of the hand-over, until its
// end: so a receipt is whole. Nothing depends on it: who learns nothing begins
// anew.

// maxKnown bounds the document.
const maxKnown = 16 << 20

func (n *node) serveKnown(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n.router.Known())
}

// inherit has the router know what that of the node before has learnt.
func (n *node) inherit(ctx context.Context, old *predecessor) {
	if old == nil {
		return
	}
	old.counted = func(counts []platform.CutoverReport) {
		n.router.InheritCutovers(counts)
		nudge(n.reports.shifted)
	}
	ctx, cancel := context.WithTimeout(ctx, handTime)
	defer cancel()
	known, err := askKnown(ctx, n.opt.Socket)
	if err != nil {
		n.log.Warn("what the router before has learnt is not known, levels, limits and ejections begin anew", "err", err)
		return
	}
	n.router.Inherit(known)
}

func askKnown(ctx context.Context, socket string) (known router.Known, err error) {
	answer, err := call(ctx, http.MethodGet, socket, "/known")
	if err != nil {
		return known, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return known, fmt.Errorf("the node before answered %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxKnown)).Decode(&known); err != nil {
		return router.Known{}, fmt.Errorf("read it: %w", err)
	}
	if known.Format != router.KnownFormat {
		return router.Known{}, fmt.Errorf("it has format %d, and this node reads %d", known.Format, router.KnownFormat)
	}
	return known, nil
}

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/slipway-paas/slipway/internal/platform"
)

// serveEdgeStatus tells what the router counts of one app.
func (n *node) serveEdgeStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	status := n.router.Status(r.FormValue("app"))
	status.Refused = n.puller.refusalOf(r.FormValue("app"))
	_ = json.NewEncoder(w).Encode(status)
}

// EdgeStatus asks the node that answers at socket what its router counts of an
// app; an error that matches platform.ErrNotFound means there is no node.
func EdgeStatus(ctx context.Context, socket, app string) (status platform.EdgeStatus, err error) {
	answer, err := call(ctx, http.MethodGet, socket, "/edge?"+url.Values{"app": {app}}.Encode())
	if err != nil {
		return status, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return status, fmt.Errorf("ask the node of its edge: it answered %s", answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return status, fmt.Errorf("ask the node of its edge: %w", err)
	}
	return status, nil
}

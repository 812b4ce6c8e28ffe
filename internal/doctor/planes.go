package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// apiAnswers asks the control plane for its health.
func apiAnswers(ctx context.Context, o Options) []Finding {
	const name, cure = "api", "start it: slipway serve"
	if o.API == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.API+"/readiness", nil)
	if err != nil {
		return one(name, Fail, fmt.Sprintf("%q is no address of an API", o.API), "")
	}
	transport := &http.Transport{} // no proxy: this is about the API, not the way to it
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return one(name, Fail, fmt.Sprintf("%s does not answer: %v", o.API, err), cure)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return one(name, Fail, fmt.Sprintf("%s answers %s: its database does not", o.API, answer.Status), "look at the log of slipway serve")
	}
	return one(name, OK, o.API+" answers", "")
}

// node reports what the control plane knows of its node.
func node(_ context.Context, o Options) []Finding {
	const name = "node"
	switch {
	case o.Node == nil:
		return nil
	case !o.Node.Connected:
		return one(name, Fail, "no node is connected: what runs goes on, nothing new starts", "start it: slipway node")
	}
	text := fmt.Sprintf("connected (pid %d, version %s): runtime %s, isolation %s",
		o.Node.Runtime.Pid, o.Node.Runtime.Version, o.Node.Runtime.Name, o.Node.Runtime.Isolation)
	if o.Node.Runtime.Why != "" {
		text += "; " + o.Node.Runtime.Why
	}
	found := one(name, OK, text, "")
	for _, missing := range o.Node.Runtime.Missing {
		found = append(found, lacking(name, missing))
	}
	for _, problem := range o.Node.Problems {
		found = append(found, Finding{name, Fail, problem, ""})
	}
	return found
}

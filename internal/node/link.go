package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/platform"
)

// How long a call to the control plane may take.
const (
	pollTimeout = 75 * time.Second // the control plane answers within 60
	callTimeout = 15 * time.Second
)

// epochHeader carries the control plane's epoch: versions of another one mean
// nothing.
const epochHeader = "Slipway-Epoch"

// errReportAll: the control plane has forgotten what was reported.
var errReportAll = errors.New("the control plane wants a full report")

// link is the way to the control plane.
type link struct {
	node   string
	client *http.Client
	epoch  atomic.Pointer[string] // of the state this node has; nil: none
}

func newLink(node, socket string) *link {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &link{node: node, client: &http.Client{Transport: &http.Transport{
		DialContext: dial, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}}}
}

func (l *link) close() { l.client.CloseIdleConnections() }

func (l *link) url(path string) string { return "http://control/node/v1/" + path }

func (l *link) knownEpoch() string {
	if e := l.epoch.Load(); e != nil {
		return *e
	}
	return ""
}

// poll blocks for what is newer than since, and what other routers said after
// newsAt. A nil state is nothing new.
func (l *link) poll(ctx context.Context, since, newsAt int64) (state *told, epoch string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	query := url.Values{"node": {l.node}, "since": {strconv.FormatInt(since, 10)}, "certificates": {"each"}, "news": {strconv.FormatInt(newsAt, 10)}}
	answer, err := l.do(ctx, http.MethodGet, "state?"+query.Encode(), nil)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return nil, "", nil
	}
	state = new(told)
	if err := json.NewDecoder(answer.Body).Decode(state); err != nil {
		return nil, "", unreadable(err)
	}
	return state, answer.Header.Get(epochHeader), nil
}

// errUnreadable is a state that came whole and makes no sense.
var errUnreadable = errors.New("the state cannot be read")

// unreadable tells what makes no sense from what broke off.
func unreadable(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return fmt.Errorf("read the desired state: %w", err)
}

func (l *link) report(ctx context.Context, r platform.NodeReport) error {
	return l.post(ctx, "report", r)
}

func (l *link) logs(ctx context.Context, lines []platform.NodeLogLine) error {
	return l.post(ctx, "logs", platform.NodeLogs{Node: l.node, Lines: lines})
}

// cursors returns where the control plane's copy of each instance's output ends.
func (l *link) cursors(ctx context.Context, instances []string) (map[string]int64, error) {
	all := make(map[string]int64, len(instances))
	const some = 50 // keeps the address short
	for len(instances) > 0 {
		n := min(some, len(instances))
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		answer, err := l.do(ctx, http.MethodGet, "cursors?"+url.Values{"instance": instances[:n]}.Encode(), nil)
		if err == nil {
			err = json.NewDecoder(answer.Body).Decode(&all)
			answer.Body.Close()
		}
		cancel()
		if err != nil {
			return nil, err
		}
		instances = instances[n:]
	}
	return all, nil
}

func (l *link) attach(ctx context.Context, run string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, l.url("attach/"+url.PathEscape(run)), &websocket.DialOptions{HTTPClient: l.client})
	return conn, err
}

func (l *link) post(ctx context.Context, path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := l.do(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// do returns an answer of the 2xx kind, whose body the caller closes.
func (l *link) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.url(path), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set(epochHeader, l.knownEpoch())
	answer, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusConflict {
		return nil, errReportAll
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 512))
	return nil, fmt.Errorf("the control plane answered %s: %s", answer.Status, strings.TrimSpace(string(said)))
}

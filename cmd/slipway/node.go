package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

func nodeCommand() *cobra.Command {
	var o options
	var file string
	var stop, owned bool
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run the data plane of this machine: the edge and the apps",
		Long: `Runs the router and the apps of this machine. It pulls what to run and where to route from the control
plane, keeps the last good state on disk, and serves on without it.

Started beside a running node of the same state directory it takes over: the ports pass without a dropped
connection, the apps run on, the old node drains and leaves. That is how a node is upgraded.

SIGTERM drains and leaves; the apps run on, and the next node finds them. SIGHUP has the access log's file opened again.`,
		Example: `  slipway node                # take over from the running node, if any
  slipway node --stop         # stop the node and its apps`,
		Args: cli.TakesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.fill(cmd, file, os.Getenv); err != nil {
				return cli.WrongUsage(cmd, err)
			}
			if stop {
				return stopNode(cmd.Context(), &o)
			}
			return runNode(cmd.Context(), logger(o.Verbose), &o, owned)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", os.Getenv("SLIPWAY_CONFIG"), "file of options, a line \"name = value\" each")
	cmd.Flags().BoolVar(&stop, "stop", false, "stop the running node and its apps, and return when they are gone")
	cmd.Flags().BoolVar(&owned, ownedFlag, false, "end at once when nobody wants a node any more")
	_ = cmd.Flags().MarkHidden(ownedFlag) // it is there
	return cmd
}

// ownedFlag is what a control plane starts a node with.
const ownedFlag = "owned"

func runNode(ctx context.Context, log *slog.Logger, o *options, owned bool) error {
	ctx, end := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer end()
	if err := o.prepareState(); err != nil {
		return err
	}
	ring, problem := o.nodeRing(log)
	engine, err := o.newRuntime(ctx, log, ring)
	if err != nil {
		return err
	}
	defer serveProfiles(log, o.debugSocket("node"))()
	go giveBack(ctx, ballast)
	defer runtime.KeepAlive(make([]byte, ballast))
	reopen := make(chan os.Signal, 1)
	signal.Notify(reopen, syscall.SIGHUP)
	defer signal.Stop(reopen)
	options := node.Options{
		ID: "local", Dir: o.path("node"), Version: version, Keys: ring, Problem: problem,
		ControlSocket: o.controlSocket(), Socket: o.nodeSocket(),
		HTTP: o.HTTP, HTTPS: o.HTTPS, HTTP3: o.HTTP3, Listen: listen, DrainTimeout: o.clients.DrainTime,
		Access: o.access.log(), Reopen: reopen, Metrics: o.access.Metrics,
		Serving: func(node.Info) {
			if owned && !nodeWanted(o) {
				// Stopped before it could be asked to: nobody found it then.
				go func() { _ = node.Stop(context.Background(), o.nodeSocket(), true) }()
			}
		},
	}
	options.Router.TrustedProxies, options.Router.HTTPSPort = o.trustedProxies, o.HTTPSPort
	options.Router.TLSProfile = o.TLSProfile
	o.clients.fill(&options.Router)
	options.Router.HoldRequests, options.Router.HoldTime = o.HoldRequests, o.HoldTime
	return node.Run(ctx, log, options, engine)
}

// nodeRing is ring for a node, which serves with keys or without: then under
// one that nobody has, so that nothing is kept in the clear.
func (o *options) nodeRing(log *slog.Logger) (ring *secret.Ring, problem string) {
	ring, err := o.ring()
	if err == nil {
		return ring, ""
	}
	log.Error("keys could not be read", "err", err)
	return secret.New(), "the node serves without the keys of its secrets, and remembers nothing after its end: " + err.Error()
}

// wantNode says that a control plane of this state wants a node of its own,
// until stopNode says otherwise. A node that was started looks at it after it can be
// asked to stop, so that whoever says otherwise either finds it or is heard.
func wantNode(o *options) error {
	file, err := os.OpenFile(o.ownedNodePath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func nodeWanted(o *options) bool {
	_, err := os.Stat(o.ownedNodePath())
	return err == nil
}

// ownNode notes which node a control plane started, if one is wanted still.
func ownNode(o *options, pid int) error {
	file, err := os.OpenFile(o.ownedNodePath(), os.O_WRONLY|os.O_TRUNC, 0)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, pid)
	return errors.Join(err, file.Close())
}

// startNode is ensureNode for a control plane that begins. When the node of its
// version does not come up it goes on with the one before, if that serves.
func startNode(ctx context.Context, log *slog.Logger, o *options) error {
	err := ensureNode(ctx, log, o, false)
	if err == nil || ctx.Err() != nil {
		return err
	}
	running, status := awaitBefore(ctx, o)
	if status != nil {
		return err
	}
	log.Error("the node of this version did not come up, the one before serves on", "pid", running.Pid, "version", running.Version, "err", err)
	return nil
}

// awaitBefore asks the node that serves, for which the one before has a moment
// when its successor has just died.
func awaitBefore(ctx context.Context, o *options) (running node.Info, err error) {
	for range 20 {
		if running, err = node.Status(ctx, o.nodeSocket()); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return running, err
		case <-time.After(100 * time.Millisecond):
		}
	}
	return running, err
}

// ensureNode starts a node in a session of its own unless one runs that is of
// this version; one of another version, or one that only stands in for a dead one,
// is taken over by the new one. A node that is started again ends at once if nobody
// wants it by then.
func ensureNode(ctx context.Context, log *slog.Logger, o *options, again bool) error {
	if running, err := node.Status(ctx, o.nodeSocket()); err == nil && running.Version == version && !running.Substitute {
		log.Info("found the node", "pid", running.Pid)
		return nil
	}
	if !again {
		if err := wantNode(o); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	output, err := os.OpenFile(filepath.Join(o.path("log"), "node.log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	from, err := output.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "node", "--state", o.State, "--http", o.HTTP, "--https", o.HTTPS, fmt.Sprintf("--verbose=%t", o.Verbose), //nolint:noctx // it outlives us
		"--https-port", strconv.Itoa(o.HTTPSPort), fmt.Sprintf("--http3=%t", o.HTTP3), "--trusted-proxies", o.TrustedProxies,
		"--tcp-ports", o.TCPPorts, "--hold-requests", strconv.Itoa(o.HoldRequests), "--hold-time", o.HoldTime.String(), "--tls-profile", o.TLSProfile,
		"--secret-key-file", o.SecretKeyFile, "--"+ownedFlag)
	cmd.Args = slices.Concat(cmd.Args, o.runtime.arguments(), o.access.arguments(), o.clients.arguments())
	cmd.Env = o.withSecretKeys(os.Environ())
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if err := awaitNode(ctx, o, cmd.Process.Pid, exited, output, from); err != nil {
		if ctx.Err() == nil {
			_ = cmd.Process.Kill() // one that hangs may not take over when it wakes up
		}
		return err
	}
	return ownNode(o, cmd.Process.Pid)
}

// ownedNodePath names the node that a control plane of this state started, so
// that one that comes after a crash knows it for its own.
func (o *options) ownedNodePath() string { return filepath.Join(o.State, "run", "node.pid") }

// ownsNode reports whether the running node was started by a control plane,
// not by an operator or systemd.
func ownsNode(o *options) bool {
	text, err := os.ReadFile(o.ownedNodePath())
	if err != nil {
		return false
	}
	running, err := node.Status(context.Background(), o.nodeSocket())
	return err == nil && (running.Substitute || strconv.Itoa(running.Pid) == strings.TrimSpace(string(text)))
}

// awaitNode blocks until the node with this pid answers on its socket. A node
// that ends instead has said why.
func awaitNode(ctx context.Context, o *options, pid int, exited <-chan error, output *os.File, from int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			said, _ := io.ReadAll(io.NewSectionReader(output, from, 4096)) // only for the message
			return fmt.Errorf("the node ended at once (%w):\n%s", orExited(err), strings.ReplaceAll("\n"+string(said), "\nError: ", "\n")[1:])
		case <-ctx.Done():
			return fmt.Errorf("the node (pid %d) does not answer; see %s: %w", pid, output.Name(), ctx.Err())
		case <-tick.C:
			if status, err := node.Status(ctx, o.nodeSocket()); err == nil && status.Pid == pid {
				return nil
			}
		}
	}
}

// stopNode ends the node and its apps. The control plane is told first that
// nobody wants one, so that it does not start another.
func stopNode(ctx context.Context, o *options) error {
	if err := os.Remove(o.ownedNodePath()); err != nil && !isMissing(err) {
		return err
	}
	if running, err := node.Status(ctx, o.nodeSocket()); err == nil && running.Substitute {
		// It does not know all that runs. One that nobody wants ends what there is.
		err := ensureNode(ctx, slog.New(slog.DiscardHandler), o, true)
		if running, _ := node.Status(ctx, o.nodeSocket()); err != nil && running.Substitute {
			return err
		}
	}
	return node.Stop(ctx, o.nodeSocket(), true)
}

// watchNode starts a node again when one that a control plane started is gone
// without having been stopped, until ctx ends. One for which the node before
// stands in is tried again after growing pauses: each costs the connections that
// it has accepted when it dies.
func watchNode(ctx context.Context, log *slog.Logger, o *options, connected func() bool) {
	tick := time.NewTicker(watchNodePause)
	defer tick.Stop()
	var tries retries
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if connected() {
			continue
		}
		running, err := node.Status(ctx, o.nodeSocket())
		if !nodeWanted(o) || !errors.Is(err, platform.ErrNotFound) && (!running.Substitute || !tries.next(time.Now())) {
			continue
		}
		log.Warn("the node is gone, starting another", "substitute", running.Substitute)
		if err := ensureNode(ctx, log, o, true); err != nil && ctx.Err() == nil {
			log.Error("no node", "err", err)
		}
	}
}

// watchNodePause is how long a dead node may stay unnoticed: its apps run on,
// but no request reaches them.
const watchNodePause = 500 * time.Millisecond

// retries are the times at which a node is tried again that died on trial.
type retries struct {
	last  time.Time
	pause time.Duration
}

// longestRetry is the longest pause between two. After twice as long without
// one they begin anew.
const longestRetry = time.Minute

// next reports whether it is time, and counts the try.
func (r *retries) next(now time.Time) bool {
	since := now.Sub(r.last)
	if since < r.pause {
		return false
	}
	r.pause = min(2*r.pause+watchNodePause, longestRetry)
	if since > 2*longestRetry {
		r.pause = watchNodePause
	}
	r.last = now
	return true
}

func orExited(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

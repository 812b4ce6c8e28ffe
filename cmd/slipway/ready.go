package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/node"
)

// announcement is what a ready serve leaves in the state directory for
// programs on this machine.
type announcement struct {
	Pid int    `json:"pid"`
	API string `json:"api"` // host:port on loopback
	URL string `json:"url"` // at the edge
}

func (o *options) announcementPath() string { return filepath.Join(o.State, "run", "serve.json") }

func announce(o *options) error {
	text, err := json.Marshal(announcement{os.Getpid(), o.API, o.apiURL()})
	if err != nil {
		return err
	}
	return writeFile(o.announcementPath(), string(text)+"\n")
}

// waitReadyCommand is for scripts: it blocks until the platform of a state
// directory answers.
func waitReadyCommand() *cobra.Command {
	var state string
	var pid int
	var timeout time.Duration
	var url, nodePid bool
	cmd := &cobra.Command{
		Use:    "wait-ready",
		Short:  "Block until the platform of a state directory answers",
		Hidden: true,
		Args:   cli.TakesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := options{State: state}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			said, err := awaitServe(ctx, &o, pid)
			switch {
			case err != nil:
				return err
			case url:
				fmt.Fprintln(cmd.OutOrStdout(), said.URL)
			case nodePid:
				status, err := askNode(ctx, &o)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), status.Pid)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", stateFromEnvironment(), "state directory")
	cmd.Flags().IntVar(&pid, "pid", 0, "give up when this process, the serve to wait for, is gone")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "give up after")
	cmd.Flags().BoolVar(&url, "url", false, "print the URL of the API")
	cmd.Flags().BoolVar(&nodePid, "node-pid", false, "print the process id of the node")
	return cmd
}

func stateFromEnvironment() string {
	if state := os.Getenv("SLIPWAY_STATE"); state != "" {
		return state
	}
	return defaultState()
}

var errGone = errors.New("serve ended before it was ready; what it said tells why")

// awaitServe blocks until the serve that announced itself is alive and its
// API answers.
func awaitServe(ctx context.Context, o *options, pid int) (announcement, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if said, ok := readAnnouncement(o); ok && (pid == 0 || said.Pid == pid) && answers(ctx, said.API) {
			return said, nil
		}
		if pid != 0 && !alive(pid) {
			return announcement{}, errGone
		}
		select {
		case <-ctx.Done():
			return announcement{}, fmt.Errorf("no platform answers for %s; start one with `slipway serve`", o.State)
		case <-tick.C:
		}
	}
}

// askNode blocks until the node answers, which serves a moment before it does.
func askNode(ctx context.Context, o *options) (node.Info, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := node.Status(ctx, o.nodeSocket())
		if err == nil {
			return status, nil
		}
		select {
		case <-ctx.Done():
			return status, err
		case <-tick.C:
		}
	}
}

func readAnnouncement(o *options) (said announcement, ok bool) {
	text, err := os.ReadFile(o.announcementPath())
	if err != nil || json.Unmarshal(text, &said) != nil {
		return announcement{}, false
	}
	return said, alive(said.Pid)
}

// alive reports whether a process has this pid, somebody else's included.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func answers(ctx context.Context, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

package cli_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/cli"
)

func TestWhoWaitsForARunIsToldHowToLeaveAndLeaves(t *testing.T) {
	const run = `{"uuid":"r1","app":"blog","process":"nightly","state":"running"}`
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()[api.HeaderAPIVersion] = []string{api.APIVersion}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		} else {
			leave() // it was asked how the run goes: this is in the midst of waiting
		}
		_, _ = io.WriteString(w, run)
	}))
	defer server.Close()
	u := at(t, &contract{Server: server})
	var stdout, stderr bytes.Buffer
	code := execute(ctx, u.options(strings.NewReader(""), &stdout, &stderr), []string{"cron", "run", "nightly", "-a", "blog"})
	result{code, stdout.String(), stderr.String()}.want(t, cli.ExitInterrupted, "", `
Waiting until it ends; Ctrl-C leaves it running. What it prints: slipway logs -f -p nightly -a blog
Running nightly of blog… 
Interrupted. A change that had begun goes on at the platform.
`)
}

package controller

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the receivers of Deis' deploy hooks verify HMAC-SHA1
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// hookTimeout bounds one attempt, from dialling to the answer's headers.
	hookTimeout = 10 * time.Second
	// hookAttempts is how often a hook is sent that got no answer, or one that
	// says that the fault is the receiver's.
	hookAttempts = 3
	// hookPause is before the second attempt; it doubles.
	hookPause = time.Second
	// maxHooks bounds the releases that wait for one receiver.
	maxHooks = 1000
)

// hooks tells receivers elsewhere of every new release. Each has a line of its
// own, so that a slow one keeps nobody waiting, and a deploy never waits.
//
// The line is in memory. What was not sent when the process ends is sent again
// at the next start if the release was still under way, and is lost if it had
// come to its end: a receiver hears of a release at least once but for that,
// and tells repetitions by app and release.
type hooks struct {
	log    *slog.Logger
	secret []byte
	client *http.Client
	note   func(app, format string, args ...any)
	lines  []hookLine
	pause  time.Duration // hookPause but in tests
}

// hookLine is one receiver and the releases it has not been told of.
type hookLine struct {
	url     *url.URL
	waiting chan hookCall
}

type hookCall struct {
	release platform.Release
	sha     string
}

// CheckDeployHookURL says whether text can be among Options.DeployHookURLs. Its
// error does not repeat it, for it may hold a password.
func CheckDeployHookURL(text string) error {
	_, err := parseHookURL(text)
	return err
}

func parseHookURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, platform.Invalid("", "a deploy hook begins with http:// or https:// and names a host")
	}
	return u, nil
}

// newHooks leaves out what is no URL.
func newHooks(log *slog.Logger, options Options, note func(app, format string, args ...any)) *hooks {
	h := &hooks{log: log, secret: []byte(options.DeployHookSecret), note: note, pause: hookPause}
	h.client = &http.Client{
		Timeout: hookTimeout,
		// A redirect would take the signature elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i, text := range options.DeployHookURLs {
		u, err := parseHookURL(text)
		if err != nil {
			log.Warn("deploy hook was left out", "number", i+1, "err", err)
			continue
		}
		h.lines = append(h.lines, hookLine{url: u, waiting: make(chan hookCall, maxHooks)})
	}
	return h
}

// run sends what is in the lines until ctx ends.
func (h *hooks) run(ctx context.Context, start func(func()) bool) {
	for _, line := range h.lines {
		start(func() {
			for {
				select {
				case call := <-line.waiting:
					h.deliver(ctx, line.url, call)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// announce puts a release into every line. It never blocks.
func (h *hooks) announce(release platform.Release, sha string) {
	for _, line := range h.lines {
		select {
		case line.waiting <- hookCall{release, sha}:
		default:
			h.failed(line.url, release, errors.New("too many releases wait for it"))
		}
	}
}

func (h *hooks) deliver(ctx context.Context, receiver *url.URL, call hookCall) {
	target := hookURL(receiver, call)
	pause := h.pause
	for attempt := 1; ; attempt++ {
		again, err := h.send(ctx, target)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			h.note(call.release.App, "INFO Deploy hook sent to %s", shownURL(receiver))
			return
		case !again || attempt == hookAttempts:
			h.failed(receiver, call.release, err)
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return
		}
	}
}

func (h *hooks) failed(receiver *url.URL, release platform.Release, err error) {
	h.note(release.App, "ERROR An error occurred while sending the deploy hook to %s: %s", shownURL(receiver), err)
	h.log.Warn("deploy hook was not taken", "app", release.App, "release", release.Tag(), "err", err)
}

// send makes one attempt; again says whether another may fare better.
func (h *hooks) send(ctx context.Context, target *url.URL) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return false, errors.New("the URL cannot be asked")
	}
	request.Header.Set("User-Agent", "slipway")
	if len(h.secret) > 0 {
		request.Header.Set("Authorization", signature(h.secret, target))
	}
	response, err := h.client.Do(request)
	if err != nil {
		return true, bare(err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection serves again
	response.Body.Close()
	if response.StatusCode >= 300 {
		return response.StatusCode >= 500, fmt.Errorf("it answered %d", response.StatusCode)
	}
	return false, nil
}

// bare takes the URL, which may hold secrets, off an error of the client.
func bare(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// signature proves to the receiver who asks (Deis contract 5).
func signature(secret []byte, target *url.URL) string {
	mac := hmac.New(sha1.New, secret)
	_, _ = io.WriteString(mac, target.String()) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil))
}

// hookURL is the receiver's with what it shall know, the keys in order.
func hookURL(receiver *url.URL, call hookCall) *url.URL {
	target := *receiver
	if target.Path == "" {
		target.Path = "/"
	}
	query := url.Values{
		"app": {call.release.App}, "release": {call.release.Tag()}, "release_summary": {call.release.Summary},
		"sha": {call.sha}, "user": {call.release.Owner},
	}.Encode()
	if target.RawQuery != "" {
		query = target.RawQuery + "&" + query
	}
	target.RawQuery, target.Fragment, target.RawFragment = query, "", ""
	return &target
}

// shownURL is what the log shows of a receiver: neither its password nor its
// query.
func shownURL(receiver *url.URL) string {
	shown := url.URL{Scheme: receiver.Scheme, Host: receiver.Host, Path: receiver.Path}
	return shown.String()
}

package server

import (
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listReleases(c *call) (answer, error) {
	releases, count, err := s.desk.Releases(c.ctx(), c.caller, c.app(), c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, releases, count, wireRelease)
}

func (s *server) getRelease(c *call) (answer, error) {
	version, err := strconv.Atoi(strings.TrimPrefix(c.path["version"], "v"))
	if err != nil || version < 1 || version > maxVersion {
		if err := s.desk.May(c.ctx(), c.caller, c.app(), platform.RoleViewer); err != nil {
			return answer{}, err
		}
		return answer{}, &platform.NotFoundError{Kind: "Release", ID: clip(c.path["version"])}
	}
	release, err := s.desk.Release(c.ctx(), c.caller, c.app(), version)
	if err != nil {
		return answer{}, err
	}
	return ok(wireRelease(release))
}

// maxVersion is the largest the ledger's column holds.
const maxVersion = 1<<31 - 1

func (s *server) rollback(c *call) (answer, error) {
	version := 0
	if f := c.body; f.given("version") {
		text := literal(f.raw["version"])
		n, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case err != nil:
			return answer{}, fieldError("", "invalid literal for int() with base 10: '%s'", clip(text))
		case n < 1:
			return answer{}, fieldError("", "version cannot be below 0")
		case n > maxVersion:
			return answer{}, fieldError("", "Release matching query does not exist.")
		}
		version = n
	}
	release, err := s.desk.Rollback(c.ctx(), c.caller, c.app(), version)
	if err != nil {
		return answer{}, err
	}
	return created(api.RolledBack{Version: release.Version})
}

func wireRelease(r platform.Release) api.Release {
	body := api.Release{
		UUID: r.UUID, App: r.App, Owner: r.Owner, Version: r.Version, Summary: r.Summary,
		Failed: r.State == platform.ReleaseFailed, Config: r.Config,
		State: string(r.State), Exception: r.Exception,
		Created: api.At(r.Created), Updated: api.At(r.Updated),
	}
	if r.Build != "" {
		body.Build = &r.Build
	}
	if r.Receipt != nil {
		body.Receipt = &api.Receipt{
			From: r.Receipt.From, To: r.Receipt.To, Requests: r.Receipt.Requests, Failed: r.Receipt.Failed,
			P99BeforeMS: milliseconds(r.Receipt.P99Before), P99AfterMS: milliseconds(r.Receipt.P99After),
			Held: r.Receipt.Held, HeldLongestMS: milliseconds(r.Receipt.HeldLongest),
			LedMS: milliseconds(r.Receipt.Led), TookMS: r.Receipt.Took.Milliseconds(), Undone: r.Receipt.Undone, Reason: r.Receipt.Reason,
			Unjudged: r.Receipt.Unjudged,
			Strategy: string(r.Receipt.Strategy), Steps: wireSteps(r.Receipt.Steps),
		}
	}
	return body
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

package server

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// maxAudit bounds a page of the audit trail, which nothing else does.
const maxAudit = 1000

func (s *server) audit(c *call) (answer, error) {
	page := c.page()
	page.Limit = min(page.Limit, maxAudit)
	q := platform.EventQuery{App: c.query("app"), User: c.query("user"), Name: c.query("event"), Page: page}
	for _, bound := range []struct {
		name string
		to   *time.Time
	}{{"since", &q.Since}, {"until", &q.Until}} {
		if text := c.query(bound.name); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return answer{}, fieldError(bound.name, "Write a time as in 2016-10-18T20:29:38Z.")
			}
			*bound.to = at
		}
	}
	events, count, err := s.desk.Audit(c.ctx(), c.caller, q)
	if err != nil {
		return answer{}, err
	}
	return listPage(c, page, events, count, wireEvent)
}

// query is a parameter of the URL without what no column can hold.
func (c *call) query(name string) string {
	value := c.r.URL.Query().Get(name)
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return "?" // no name of anything
	}
	return value
}

func wireEvent(e platform.Event) api.AuditEvent {
	return api.AuditEvent{
		ID: e.ID, At: api.At(e.At), Event: e.Name, App: e.App, User: e.User,
		From: e.From, Token: e.Token, Attrs: texts(e.Attrs),
	}
}

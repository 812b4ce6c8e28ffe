package store

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// listening is an engine that writes down what it is asked.
type listening struct {
	engine
	asked []string
}

func (e *listening) bind(query string) string {
	bound := e.engine.bind(query)
	e.asked = append(e.asked, bound)
	return bound
}

// queries are the SQL of fn on an empty database.
func queries(t *testing.T, s *Store, fn func(*Tx) error) []string {
	t.Helper()
	listener := &listening{engine: s.engine}
	heard := *s
	heard.engine = listener
	_ = heard.Write(t.Context(), fn) // what is looked up is not there
	if len(listener.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return listener.asked
}

// plan is how SQLite answers the query, a step a line. It looks at no data: no
// platform ever runs ANALYZE.
func plan(t *testing.T, s *Store, query string) []string {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// manyRows have tables that grow with the apps and their history.
var manyRows = []string{"apps", "releases", "configs", "builds", "events", "domains", "tokens", "collaborators", "services", "strategies", "cutovers", "crons", "cron_runs", "config_groups", "config_group_apps"}

// walks says what of the plan takes longer the more there is in all: a step
// that reads a whole table or index, and a sort of more than an app's own.
// Those in allowed are read in their order until the page is full, or hold few.
func walks(steps []string, allowed ...string) []string {
	return slices.DeleteFunc(slices.Clone(steps), func(step string) bool {
		words := strings.Fields(step)
		whole := words[0] == "SCAN" && slices.Contains(manyRows, words[1])
		return !whole && step != "USE TEMP B-TREE FOR ORDER BY" || slices.Contains(allowed, words[len(words)-1])
	})
}

func TestNoListWalksThroughAllRows(t *testing.T) {
	s, err := Open(t.Context(), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "slipway.db"), secret.New())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	hour := platform.EventQuery{Since: time.UnixMicro(1), Until: time.UnixMicro(2)}
	of := func(app, user, name string) platform.EventQuery {
		q := hour
		q.App, q.User, q.Name = app, user, name
		return q
	}
	events := func(q platform.EventQuery) func(*Tx) error {
		return func(tx *Tx) error { _, _, err := tx.EventLog(q); return err }
	}
	for name, c := range map[string]struct {
		ask     func(*Tx) error
		allowed []string
	}{
		"App":                   {ask: func(tx *Tx) error { _, err := tx.App("blog"); return err }},
		"Apps of an owner":      {ask: func(tx *Tx) error { _, _, err := tx.Apps("ann", platform.Page{}); return err }},
		"AppIDs":                {ask: func(tx *Tx) error { _, err := tx.AppIDs("ann", platform.RoleViewer); return err }, allowed: []string{"BY"}},
		"AppRenamedFrom":        {ask: func(tx *Tx) error { _, err := tx.AppRenamedFrom("blog"); return err }},
		"RoleOf":                {ask: func(tx *Tx) error { _, err := tx.RoleOf("blog", "ann"); return err }},
		"Collaborators":         {ask: func(tx *Tx) error { _, err := tx.Collaborators("blog"); return err }},
		"Releases":              {ask: func(tx *Tx) error { _, _, err := tx.Releases("blog", platform.Page{}); return err }},
		"Release":               {ask: func(tx *Tx) error { _, err := tx.Release("blog", 1); return err }},
		"InsertRelease":         {ask: func(tx *Tx) error { _, err := tx.InsertRelease(platform.Release{App: "blog"}); return err }},
		"UpdateRelease":         {ask: func(tx *Tx) error { return tx.UpdateRelease(platform.Release{App: "blog"}) }},
		"CurrentRelease":        {ask: func(tx *Tx) error { _, err := tx.CurrentRelease("blog"); return err }},
		"UnfinishedReleases":    {ask: func(tx *Tx) error { _, err := tx.UnfinishedReleases("blog"); return err }},
		"Config":                {ask: func(tx *Tx) error { _, err := tx.Config("1"); return err }},
		"Builds":                {ask: func(tx *Tx) error { _, _, err := tx.Builds("blog", platform.Page{}); return err }},
		"Domains":               {ask: func(tx *Tx) error { _, _, err := tx.Domains("blog", platform.Page{}); return err }},
		"Domain":                {ask: func(tx *Tx) error { _, err := tx.Domain("blog"); return err }},
		"Claims":                {ask: func(tx *Tx) error { _, err := tx.Claims("a.com", "*.com"); return err }},
		"DomainsBelow":          {ask: func(tx *Tx) error { _, err := tx.DomainsBelow("com", ""); return err }},
		"TLS":                   {ask: func(tx *Tx) error { _, err := tx.TLS("blog"); return err }},
		"Strategy":              {ask: func(tx *Tx) error { _, err := tx.Strategy("blog"); return err }},
		"Cutover":               {ask: func(tx *Tx) error { _, err := tx.Cutover("blog"); return err }},
		"Services":              {ask: func(tx *Tx) error { _, err := tx.Services("blog"); return err }, allowed: []string{"BY"}}, // a handful
		"CertificateByName":     {ask: func(tx *Tx) error { _, err := tx.CertificateByName("mine"); return err }},
		"Token":                 {ask: func(tx *Tx) error { _, _, err := tx.Token("hash"); return err }},
		"InsertEvent":           {ask: func(tx *Tx) error { return tx.InsertEvent(platform.Event{}) }},
		"events of an app":      {ask: events(of("blog", "", ""))},
		"events of a user":      {ask: events(of("", "ann", ""))},
		"events of a name":      {ask: events(of("", "", "app.created"))},
		"events of an hour":     {ask: events(hour)},
		"events of an app ever": {ask: events(platform.EventQuery{App: "blog"})},

		"Crons":              {ask: func(tx *Tx) error { _, err := tx.Crons("blog"); return err }},
		"CronRuns":           {ask: func(tx *Tx) error { _, _, err := tx.CronRuns("blog", "nightly", platform.Page{}); return err }},
		"LastCronRun":        {ask: func(tx *Tx) error { _, err := tx.LastCronRun("blog", "nightly"); return err }},
		"ActiveCronRuns":     {ask: func(tx *Tx) error { _, err := tx.ActiveCronRuns("blog", "nightly"); return err }, allowed: []string{"BY"}}, // ten at most
		"PruneCronRuns":      {ask: func(tx *Tx) error { return tx.PruneCronRuns("blog", "nightly", 1) }},
		"Group":              {ask: func(tx *Tx) error { _, err := tx.Group("shared"); return err }},
		"Groups of an owner": {ask: func(tx *Tx) error { _, _, err := tx.Groups("ann", platform.Page{}); return err }},
		"AppsOfGroup":        {ask: func(tx *Tx) error { _, err := tx.AppsOfGroup("1"); return err }},
		"GroupsOfApp":        {ask: func(tx *Tx) error { _, err := tx.GroupsOfApp("blog"); return err }, allowed: []string{"BY"}}, // twenty at most

		// In their order until the page is full; COUNT reads the smallest index.
		"Apps of all": {ask: func(tx *Tx) error { _, _, err := tx.Apps("", platform.Page{}); return err }, allowed: []string{"sqlite_autoindex_apps_2", "apps_of_owner"}},
		"AllAppIDs":   {ask: func(tx *Tx) error { _, err := tx.AllAppIDs(); return err }, allowed: []string{"sqlite_autoindex_apps_2"}},
		"all events":  {ask: events(platform.EventQuery{}), allowed: []string{"events_in_time"}},
		// Holds those that are under way alone.
		"UnfinishedReleases of all": {ask: func(tx *Tx) error { _, err := tx.UnfinishedReleases(""); return err }, allowed: []string{"releases_unfinished"}},
		// Hold those that are under way alone.
		"InterruptCronRuns": {ask: func(tx *Tx) error { _, err := tx.InterruptCronRuns("", time.Time{}); return err }, allowed: []string{"cron_runs_active"}},
		"DueGroups":         {ask: func(tx *Tx) error { _, err := tx.DueGroups(); return err }, allowed: []string{"config_group_apps_due", "BY"}},
		// Holds one entry a row, at the start alone.
		"SealedUnder": {ask: func(tx *Tx) error { _, err := tx.SealedUnder(); return err }, allowed: []string{"configs_sealed_under", "config_groups_sealed_under", "certificates_sealed_under", "BY"}},
	} {
		for _, query := range queries(t, s, c.ask) {
			steps := plan(t, s, query)
			if slow := walks(steps, c.allowed...); len(slow) > 0 {
				t.Errorf("%s: %s\n%s", name, query, strings.Join(steps, "\n"))
			}
		}
	}
}

func TestAMissingIndexWouldBeSeen(t *testing.T) {
	s, err := Open(t.Context(), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "slipway.db"), secret.New())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for index, ask := range map[string]func(*Tx) error{
		"events_of_app":       func(tx *Tx) error { _, _, err := tx.EventLog(platform.EventQuery{App: "blog"}); return err },
		"domains_of_app":      func(tx *Tx) error { _, _, err := tx.Domains("blog", platform.Page{}); return err },
		"domains_mirrored":    func(tx *Tx) error { _, err := tx.DomainsBelow("com", ""); return err },
		"releases_unfinished": func(tx *Tx) error { _, err := tx.UnfinishedReleases(""); return err },
		"apps_of_owner":       func(tx *Tx) error { _, _, err := tx.Apps("ann", platform.Page{}); return err },
	} {
		if _, err := s.db.ExecContext(t.Context(), "DROP INDEX "+index); err != nil {
			t.Fatal(err)
		}
		seen := false
		for _, query := range queries(t, s, ask) {
			seen = seen || len(walks(plan(t, s, query))) > 0
		}
		if !seen {
			t.Errorf("without %s nobody would notice", index)
		}
	}
}

package store

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Strategy is how an app's requests are led from one release to the next; the
// zero value for an app of which nobody said.
func (tx *Tx) Strategy(app string) (platform.Strategy, error) {
	none := &platform.NotFoundError{Kind: "Strategy", ID: app}
	s, err := one(tx, none, func(row scanner) (s platform.Strategy, err error) { return s, row.Scan(fromJSON(&s)) },
		"SELECT strategy FROM strategies WHERE app = ?", app)
	if errors.Is(err, platform.ErrNotFound) {
		return platform.Strategy{}, nil
	}
	return s, err
}

// PutStrategy replaces it.
func (tx *Tx) PutStrategy(app string, s platform.Strategy) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO strategies (app, strategy, updated) VALUES (?, ?, ?)
		ON CONFLICT (app) DO UPDATE SET strategy = excluded.strategy, updated = excluded.updated`, app, string(text), micros(time.Now()))
	return err
}

const cutoverColumns = "app, release, former, strategy, step, since, started, done, undone, word, said_by"

func scanCutover(row scanner) (c platform.Cutover, err error) {
	err = row.Scan(&c.App, &c.Release, &c.From, fromJSON(&c.Strategy), &c.Step, at(&c.Since), at(&c.Started), fromJSON(&c.Done), &c.Undone, &c.Word, &c.By)
	return c, err
}

// Cutover is the app's cutover in steps that is under way; not found when
// there is none.
func (tx *Tx) Cutover(app string) (platform.Cutover, error) {
	return one(tx, &platform.NotFoundError{Kind: "Cutover", ID: app}, scanCutover, "SELECT "+cutoverColumns+" FROM cutovers WHERE app = ?", app)
}

// PutCutover writes how far an app's cutover has come. What somebody said about
// it stays, unless it is the cutover of another release.
func (tx *Tx) PutCutover(c platform.Cutover) error {
	strategy, err := json.Marshal(c.Strategy)
	if err != nil {
		return err
	}
	done, err := json.Marshal(c.Done)
	if err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO cutovers ("+cutoverColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')
		ON CONFLICT (app) DO UPDATE SET release = excluded.release, former = excluded.former, strategy = excluded.strategy,
			step = excluded.step, since = excluded.since, started = excluded.started, done = excluded.done, undone = excluded.undone,
			word = CASE WHEN cutovers.release = excluded.release THEN cutovers.word ELSE '' END,
			said_by = CASE WHEN cutovers.release = excluded.release THEN cutovers.said_by ELSE '' END`,
		c.App, c.Release, c.From, string(strategy), c.Step, micros(c.Since), micros(c.Started), string(done), c.Undone)
	return err
}

// SayOfCutover notes what somebody says about the cutover under way.
func (tx *Tx) SayOfCutover(app string, word platform.CutoverWord, by string) error {
	return tx.change(&platform.NotFoundError{Kind: "Cutover", ID: app}, "UPDATE cutovers SET word = ?, said_by = ? WHERE app = ?", string(word), by, app)
}

// DeleteCutover forgets the app's cutover, if there is one.
func (tx *Tx) DeleteCutover(app string) error {
	_, err := tx.exec("DELETE FROM cutovers WHERE app = ?", app)
	return err
}

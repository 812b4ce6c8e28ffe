package api

// AuditEvent is one change: who did what to which app, when and from where.
type AuditEvent struct {
	ID    int64             `json:"id"`
	At    Time              `json:"at" format:"date-time"`
	Event string            `json:"event" example:"config.changed"`
	App   string            `json:"app"`
	User  string            `json:"user"`
	From  string            `json:"from" doc:"Remote address."`
	Token string            `json:"token" doc:"Name of the token that was shown; empty: a login's."`
	Attrs map[string]string `json:"attrs"`
}

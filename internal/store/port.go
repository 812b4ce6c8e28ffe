package store

import (
	"strconv"

	"github.com/slipway-paas/slipway/internal/platform"
)

const portColumns = "listen, app, process, port, proxy, created"

func scanPort(row scanner) (p platform.Port, err error) {
	err = row.Scan(&p.Listen, &p.App, &p.Process, &p.Port, &p.Proxy, at(&p.Created))
	return p, err
}

// Ports lists the ports of the edge that lead to an app, or of all apps when
// app is empty, in order.
func (tx *Tx) Ports(app string) ([]platform.Port, error) {
	return all(tx, scanPort, "SELECT "+portColumns+" FROM ports WHERE app = ? OR ? = '' ORDER BY listen", app, app)
}

// PortsOfOwner is how many ports of the edge lead to the apps that user owns.
func (tx *Tx) PortsOfOwner(user string) (int, error) {
	return tx.count("SELECT COUNT(*) FROM ports WHERE app IN (SELECT id FROM apps WHERE owner = ?)", user)
}

// InsertPort gives a port of the edge to an app. One that is another's is a
// FieldError of "listen", a second one for the same port of a process type one
// of "port".
func (tx *Tx) InsertPort(p platform.Port) error {
	_, err := tx.exec("INSERT INTO ports ("+portColumns+") VALUES (?, ?, ?, ?, ?, ?)", p.Listen, p.App, p.Process, p.Port, p.Proxy, micros(p.Created))
	return err
}

// DeletePort takes it from the app.
func (tx *Tx) DeletePort(app string, listen int) error {
	return tx.change(&platform.NotFoundError{Kind: "Port", ID: strconv.Itoa(listen)}, "DELETE FROM ports WHERE app = ? AND listen = ?", app, listen)
}

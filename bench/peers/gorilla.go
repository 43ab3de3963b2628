// gorilla/websocket: gorilla PORT TLS_PORT DEFLATE_PORT CERTIFICATE KEY
package main

import (
	"compress/flate"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

var lock sync.Mutex
var everyone = map[*websocket.Conn]bool{}

func echo(c *websocket.Conn) {
	for {
		kind, message, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func publish(kind int, message []byte) {
	prepared, err := websocket.NewPreparedMessage(kind, message)
	if err != nil {
		return
	}
	lock.Lock()
	defer lock.Unlock()
	for member := range everyone {
		member.WritePreparedMessage(prepared)
	}
}

func broadcast(c *websocket.Conn) {
	lock.Lock()
	everyone[c] = true
	lock.Unlock()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			break
		}
		publish(kind, message)
	}
	lock.Lock()
	delete(everyone, c)
	lock.Unlock()
}

func handler(isDeflated bool, run func(*websocket.Conn)) http.HandlerFunc {
	upgrader := websocket.Upgrader{EnableCompression: isDeflated}
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		if isDeflated {
			c.SetCompressionLevel(flate.BestSpeed)
		}
		run(c)
	}
}

func main() {
	host := "127.0.0.1:"
	plain := http.NewServeMux()
	plain.HandleFunc("/echo", handler(false, echo))
	plain.HandleFunc("/broadcast", handler(false, broadcast))
	deflated := http.NewServeMux()
	deflated.HandleFunc("/echo", handler(true, echo))
	quiet := log.New(new(nowhere), "", 0)
	secure := &http.Server{Addr: host + os.Args[2], Handler: plain,
		ErrorLog: quiet}
	go func() {
		panic(secure.ListenAndServeTLS(os.Args[4], os.Args[5]))
	}()
	go func() { panic(http.ListenAndServe(host+os.Args[3], deflated)) }()
	panic(http.ListenAndServe(host+os.Args[1], plain))
}

type nowhere struct{}

func (nowhere) Write(bytes []byte) (int, error) { return len(bytes), nil }

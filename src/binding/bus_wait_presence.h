/* bus_wait_presence.h: tasks that ask Redis who is in a topic. */
#ifndef EVWS_BINDING_BUS_WAIT_PRESENCE_H
#define EVWS_BINDING_BUS_WAIT_PRESENCE_H

#include "binding/state.h"
#include "engine/bus.h"

/* Waits for the answer; pushes the list of people, or nil and why not. */
int ws_bus_wait_presence(lua_State *L, struct ws_bus *bus,
                         struct ws_slice topic);

/* Pushes one of them, who is there n times. */
void ws_push_person(lua_State *L, struct ws_slice id, struct ws_slice key,
                    struct ws_slice info, size_t n);

void ws_open_bus_wait_presence(lua_State *L);

#endif

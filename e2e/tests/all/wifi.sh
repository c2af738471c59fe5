# Sets the guest up: D-Bus, polkit with the agent's rule, NetworkManager for wlan0, and access points on
# wlan1 (Home) and wlan2 (Other).
set -e
export AGENT

wait_for() {
    turns=$(($1 * 2))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $turns -gt 0 ] || return 1
        turns=$((turns - 1))
        sleep 0.5
    done
}
is_active() { nmcli -t -f NAME connection show --active | grep -qx "$1"; }
no_manager() { ! kill -0 "$(cat /run/nm.pid)"; }

cp -a "$PACKAGES/." /
for user in messagebus:901 polkitd:902 nightjar-agent:903; do
    name=${user%:*}
    grep -q "^$name:" /etc/passwd || {
        echo "$name:x:${user#*:}:${user#*:}::/nonexistent:/bin/false" >>/etc/passwd
        echo "$name:x:${user#*:}:" >>/etc/group
    }
done
grep -q '^netdev:' /etc/group || echo 'netdev:x:904:' >>/etc/group
mkdir -p /run/dbus /run/data /etc/NetworkManager/conf.d /usr/share/polkit-1/rules.d
chmod 777 /run/data
cp "$RULE" /usr/share/polkit-1/rules.d/
chown -R polkitd /usr/share/polkit-1/rules.d /etc/polkit-1 2>/dev/null || true
# Without udev's daemon NetworkManager manages what it sees, if it may not write to /sys.
mount -o remount,ro /sys
cat >/etc/NetworkManager/conf.d/guest.conf <<CONF
[main]
plugins=keyfile
dhcp=internal
auth-polkit=true
dns=none
rc-manager=unmanaged
[keyfile]
unmanaged-devices=interface-name:wlan1;interface-name:wlan2;interface-name:eth0
[device]
wifi.scan-rand-mac-address=no
CONF
dbus-uuidgen --ensure
dbus-daemon --system --fork
/usr/lib/polkit-1/polkitd --no-debug >"$DIRECTORY/polkitd.log" 2>&1 &
wpa_supplicant -u >"$DIRECTORY/wpa_supplicant.log" 2>&1 &

access_point() {
    ip addr add "$3/24" dev "$1"
    ip link set "$1" up
    printf 'interface=%s\nssid=%s\nhw_mode=g\nchannel=%s\nwpa=2\nwpa_key_mgmt=WPA-PSK\nrsn_pairwise=CCMP\nwpa_passphrase=%s\n' \
        "$1" "$2" "$4" "$5" >"/run/$1.conf"
    hostapd "/run/$1.conf" >"$DIRECTORY/hostapd-$1.log" 2>&1 &
    dnsmasq --conf-file=/dev/null --port=0 --interface="$1" --bind-interfaces --leasefile-ro \
        --dhcp-range="${3%.*}.10,${3%.*}.50,1h" --user=root --pid-file="/run/dnsmasq-$1.pid"
}
access_point wlan1 Home 10.9.1.1 1 right-right
access_point wlan2 Other 10.9.2.1 6 right-other

NetworkManager --no-daemon >"$DIRECTORY/networkmanager.log" 2>&1 &
echo $! >/run/nm.pid
wait_for 60 nmcli general status
wait_for 60 sh -c "nmcli -t -f DEVICE,STATE device | grep -q '^wlan0:disconnected'" || nmcli device
nmcli device
# What fails from here on is for the test to judge.
set +e
